package trust

import (
	"path/filepath"
	"strings"
)

// findStores returns the stores of a Linux machine, the system's first, and
// what is to be said of those that cannot be worked on.
func findStores(m *Machine, a anchor) (stores []store, notices []Status) {
	if d := m.debian(); !m.cfg.UserOnly && isExecutable(d.update) && isDir(d.anchors) {
		stores = append(stores, d)
	}
	if !filepath.IsAbs(m.cfg.Home) {
		return stores, nil
	}
	for _, find := range []func() ([]store, []Status){
		func() ([]store, []Status) { return m.findChromium(a) },
		m.findFirefox,
	} {
		s, n := find()
		stores, notices = append(stores, s...), append(notices, n...)
	}
	return stores, notices
}

// programPath is where browsers are looked for: a desktop may start them from
// folders that the shell's PATH lacks.
func (m *Machine) programPath() string {
	dirs := []string{m.cfg.Path}
	for _, dir := range []string{"/usr/bin", "/usr/local/bin"} {
		dirs = append(dirs, filepath.Join(m.cfg.Root, dir))
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}
