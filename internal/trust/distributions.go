package trust

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"devproxy/internal/elevate"
)

// A layout is where a distribution keeps the certificates that make a root
// trusted, and what its tool makes of them (clients.md §12). Which one a
// machine has is told by what is on its disk: names of systems say less.
type layout struct {
	kind    string
	marks   []string          // one of these is there, if any are named
	anchors []string          // folders for local roots; the first that is there
	ext     string            // of the files in it
	refresh []elevate.Command // the tool; the first that is there
	bundle  string            // what most clients read, made by the tool
	sources []string          // more folders that the tool reads
	links   string            // folder of links that the tool makes; "" if it clears away its own
	prefix  string            // of a link's name
	hashed  bool              // clients look up roots in links by a hash of the subject

	java       []string // Java's key store, made by the tool or its hook; the first that is there
	javaAppend string   // hook to which changes are told; "" if the tool makes the store anew
}

const (
	kindDebian = "debian"
	kindAlpine = "alpine"
	kindRedHat = "redhat"
	kindArch   = "arch"
	kindSUSE   = "suse"
)

// layouts are tried in this order. Debian comes last: others have its tool,
// and its folder is one that people make by themselves.
func layouts() []layout {
	return []layout{
		{
			kind:    kindRedHat,
			anchors: []string{"/etc/pki/ca-trust/source/anchors"},
			ext:     ".pem",
			refresh: []elevate.Command{{"/usr/bin/update-ca-trust", "extract"}},
			bundle:  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
			sources: []string{"/usr/share/pki/ca-trust-source/anchors"},
			java:    []string{"/etc/pki/ca-trust/extracted/java/cacerts"},
		},
		{
			kind:    kindArch,
			anchors: []string{"/etc/ca-certificates/trust-source/anchors"},
			ext:     ".crt",
			refresh: []elevate.Command{{"/usr/bin/update-ca-trust"}, {"/usr/bin/trust", "extract-compat"}},
			bundle:  "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
			sources: []string{"/usr/share/ca-certificates/trust-source/anchors"},
			java:    []string{"/etc/ssl/certs/java/cacerts"},
		},
		{
			kind:    kindSUSE,
			anchors: []string{"/etc/pki/trust/anchors", "/usr/share/pki/trust/anchors"},
			ext:     ".pem",
			refresh: []elevate.Command{{"/usr/sbin/update-ca-certificates"}},
			bundle:  "/var/lib/ca-certificates/ca-bundle.pem",
			sources: []string{"/etc/pki/trust/anchors", "/usr/share/pki/trust/anchors"},
			java:    []string{"/var/lib/ca-certificates/java-cacerts"},
		},
		{
			kind:    kindAlpine,
			marks:   []string{"/etc/ca-certificates/update.d/certhash", "/sbin/apk"},
			anchors: []string{"/usr/local/share/ca-certificates"},
			ext:     ".crt",
			refresh: []elevate.Command{{"/usr/sbin/update-ca-certificates"}},
			bundle:  "/etc/ssl/certs/ca-certificates.crt",
			links:   "/etc/ssl/certs",
			prefix:  "ca-cert-",
			java:    []string{"/etc/ssl/certs/java/cacerts"},
		},
		{
			kind:       kindDebian,
			anchors:    []string{"/usr/local/share/ca-certificates"},
			ext:        ".crt",
			refresh:    []elevate.Command{{"/usr/sbin/update-ca-certificates"}},
			bundle:     "/etc/ssl/certs/ca-certificates.crt",
			links:      "/etc/ssl/certs",
			hashed:     true,
			java:       []string{"/etc/ssl/certs/java/cacerts"},
			javaAppend: "/etc/ca-certificates/update.d/jks-keystore",
		},
	}
}

// at returns where path is below the root of the file system.
func (m *Machine) at(path string) string { return filepath.Join(m.cfg.Root, path) }

// here reports whether a machine is laid out like l.
func (m *Machine) here(l layout) bool {
	there := func(path string) bool { _, err := os.Stat(m.at(path)); return err == nil }
	return (len(l.marks) == 0 || slices.ContainsFunc(l.marks, there)) &&
		slices.ContainsFunc(l.anchors, func(dir string) bool { return isDir(m.at(dir)) }) &&
		slices.ContainsFunc(l.refresh, func(c elevate.Command) bool { return isExecutable(m.at(c[0])) }) &&
		isDir(filepath.Dir(m.at(l.bundle)))
}

// layout returns the layout of this machine; ok is false if it has none.
func (m *Machine) layout() (l layout, ok bool) {
	all := layouts()
	if i := slices.IndexFunc(all, m.here); i >= 0 {
		return all[i], true
	}
	return layout{}, false
}

// system returns the store that is laid out like l.
func (m *Machine) system(l layout) *system {
	s := &system{
		layout:     l,
		anchors:    m.at(l.anchors[0]),
		bundle:     m.at(l.bundle),
		readOnly:   readOnly,
		privileged: m.privileged,
	}
	for _, dir := range l.anchors {
		if isDir(m.at(dir)) {
			s.anchors = m.at(dir)
			break
		}
	}
	for _, c := range l.refresh {
		if tool := m.at(c[0]); isExecutable(tool) {
			s.refresh = append(elevate.Command{tool}, c[1:]...)
			break
		}
	}
	for _, path := range []string{"/usr/bin/install", "/bin/install"} { // Alpine's is busybox's
		if tool := m.at(path); isExecutable(tool) {
			s.installer = tool
			break
		}
	}
	for _, dir := range l.sources {
		s.sources = append(s.sources, m.at(dir))
	}
	if l.links != "" {
		s.links = m.at(l.links)
	}
	if j := m.systemJava(l, s); l.javaAppend != "" {
		// Receipts from before Java had its own stand for both.
		s.java = j
		s.javaApart = m.recordedIn(kindSystemJava, j.file)
	}
	return s
}

// recordedIn returns the roots of which receipts say that they are in a store.
func (m *Machine) recordedIn(kind, location string) map[fingerprint]bool {
	all, _ := m.receipts.load() // whoever asked for the store has read them
	in := make(map[fingerprint]bool)
	for _, r := range all {
		if r.Kind == kind && r.Location == location {
			in[r.sum()] = true
		}
	}
	return in
}

// systemKind is the kind of the stores that are laid out like l.
func systemKind(l layout) kind {
	return kind{
		name: l.kind,
		find: func(m *Machine, _ anchor) ([]store, []Status) {
			if found, ok := m.layout(); m.cfg.UserOnly || !ok || found.kind != l.kind {
				return nil, nil
			}
			return []store{m.system(l)}, nil
		},
		// No receipt is taken at its word for the place: root deletes files there.
		reopen: func(m *Machine, r receipt) store {
			i := slices.IndexFunc(l.anchors, func(dir string) bool { return m.at(dir) == r.Location })
			if i < 0 {
				return nil
			}
			there := l
			there.anchors = l.anchors[i : i+1]
			return m.system(there)
		},
	}
}

// findNoSystem says so where no store of the system was found.
func findNoSystem(m *Machine, a anchor) ([]store, []Status) {
	// Where there is not even an /etc, there is no client either.
	if _, ok := m.layout(); ok || m.cfg.UserOnly || m.nixOS() != nil || !isDir(m.at("/etc")) {
		return nil, nil
	}
	var folders []string
	for _, l := range layouts() {
		folders = append(folders, l.anchors[0])
	}
	slices.Sort(folders)
	fix := "install the package ca-certificates, or point clients to the root certificate by their variables"
	if a.file != "" {
		fix = "install the package ca-certificates, or point clients to " + a.file + " by their variables"
	}
	return nil, []Status{{
		Store:  "System",
		Detail: "no trust store of a known distribution here: none has " + strings.Join(slices.Compact(folders), ", ") + " and the tool that belongs to it",
		Fix:    fix,
	}}
}
