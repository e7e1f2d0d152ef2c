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
		kind{name: kindNixOS, find: findNixOS, reopen: reopenNixOS},
		kind{find: findNoSystem},
		kind{name: kindSystemJava, find: findSystemJava, reopen: reopenSystemJava},
		kind{name: kindJDK, find: findJDKs, reopen: reopenJDK},
		kind{name: kindWindows, find: findWSL, reopen: reopenWSL},
		kind{name: kindNSS, find: findBrowsers, reopen: reopenBrowser},
		kind{name: kindClient, findClients: findClientDatabases, reopen: reopenClientDatabase},
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

// findClientDatabases returns the same databases as the place of client
// certificates.
func findClientDatabases(m *Machine, a anchor) (stores []store, notices []Status) {
	found, notices := findBrowsers(m, a)
	for _, s := range found {
		switch s := s.(type) {
		case *seededStore:
			stores = append(stores, s.forClients())
		case *database:
			stores = append(stores, clientDatabase{s})
		}
	}
	return stores, notices
}

// reopenClientDatabase returns the database that a receipt speaks of.
func reopenClientDatabase(m *Machine, r receipt) store {
	switch s := reopenBrowser(m, r).(type) {
	case *seededStore:
		return s.forClients()
	case *database:
		return clientDatabase{s}
	}
	return nil
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
