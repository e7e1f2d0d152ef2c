package trust

import (
	"path/filepath"
	"strings"
)

// systemKinds are the stores of a Linux machine, the system's own first.
var systemKinds = []kind{
	{kindDebian, findDebian, reopenDebian},
	{kindNSS, findBrowsers, reopenDatabase},
}

// findBrowsers returns the NSS databases of the user's browsers.
func findBrowsers(m *Machine, a anchor) (stores []store, notices []Status) {
	if !filepath.IsAbs(m.cfg.Home) {
		return nil, nil
	}
	stores, notices = m.findChromium(a)
	s, n := m.findFirefox()
	return append(stores, s...), append(notices, n...)
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
