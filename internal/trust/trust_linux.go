package trust

import (
	"path/filepath"
	"strings"
)

// systemKinds are the stores of a Linux machine: the system's own first, what
// is made from it next.
var systemKinds = linuxKinds()

func linuxKinds() []kind {
	var all []kind
	for _, l := range layouts() {
		all = append(all, systemKind(l))
	}
	return append(all,
		kind{kindNixOS, findNixOS, reopenNixOS},
		kind{find: findNoSystem},
		kind{kindSystemJava, findSystemJava, reopenSystemJava},
		kind{kindJDK, findJDKs, reopenJDK},
		kind{kindWindows, findWSL, reopenWSL},
		kind{kindNSS, findBrowsers, reopenBrowser},
	)
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
