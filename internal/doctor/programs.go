package doctor

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// program returns the client's command, "" if it is not installed.
func (m Machine) program(r rule) string {
	dirs := filepath.SplitList(m.Path)
	if r.source == fromBrowser {
		dirs = append(dirs, m.Programs...)
	}
	return LookUp(dirs, r.programs...)
}

// LookUp returns the absolute path of the first of names in dirs, "" if there
// is none. Relative folders are skipped: what they hold depends on where
// devproxy is started.
func LookUp(dirs []string, names ...string) string {
	for _, name := range names {
		for _, dir := range dirs {
			if !filepath.IsAbs(dir) {
				continue
			}
			file := filepath.Join(dir, name)
			info, err := os.Stat(file)
			if err == nil && info.Mode().IsRegular() && (info.Mode()&0o111 != 0 || runtime.GOOS == "windows") {
				return file
			}
		}
	}
	return ""
}

// distributed reports whether a program is the distribution's, which was
// built to read the system's roots.
func distributed(program string) bool {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return false
	}
	dir := filepath.Dir(real)
	return dir == "/bin" || dir == "/usr/bin"
}

// A library is one that does TLS.
type library int

const (
	unknownLibrary library = iota
	gnutls
	openssl
)

// linked returns the TLS library that a program was linked with.
func linked(program string) library {
	for _, name := range imports(program) {
		switch {
		case strings.HasPrefix(name, "libgnutls"):
			return gnutls
		case strings.HasPrefix(name, "libssl"):
			return openssl
		}
	}
	return unknownLibrary
}

// imports returns the libraries that a program was linked with; none for one
// that is no ELF file.
func imports(program string) []string {
	f, err := elf.Open(program)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.ImportedLibraries()
	return names
}

// ReadsSystemRoots reports whether a node reads the system's roots, as OpenSSL
// finds them, instead of a list of its own. So Debian's is built (seen with
// 18.20.4); it is told from nodejs.org's and its kin, which are in one piece,
// by the library that it is made of.
func ReadsSystemRoots(program string) bool {
	return distributed(program) && slices.ContainsFunc(imports(program), func(name string) bool {
		return strings.HasPrefix(name, "libnode.so")
	})
}

// javaStore returns the key store of the installation that a java command
// belongs to, "" if it is not where it should be.
func javaStore(program string) string {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return ""
	}
	home := filepath.Dir(filepath.Dir(real))
	for _, place := range []string{"lib/security/jssecacerts", "lib/security/cacerts", "jre/lib/security/cacerts"} {
		if file := filepath.Join(home, place); isFile(file) {
			return file
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// firstFile returns the first of the system's bundles that is there.
func (m Machine) firstFile() string {
	if i := slices.IndexFunc(m.SystemFiles, isFile); i >= 0 {
		return m.SystemFiles[i]
	}
	return ""
}

func (m Machine) anySet(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return m.Env(name) != "" })
}

// opaque returns the first of settings that is in force: "NAME" for a variable
// that is set, "NAME=part" for one that holds part.
func (m Machine) opaque(settings []string) string {
	for _, s := range settings {
		name, part, _ := strings.Cut(s, "=")
		if value := m.Env(name); value != "" && value != os.DevNull && strings.Contains(value, part) {
			return name
		}
	}
	return ""
}

// overruled returns a file of settings that has one of the rule's words.
func (m Machine) overruled(r rule) string {
	for _, file := range r.settings {
		if !filepath.IsAbs(file) {
			if m.Home == "" {
				continue
			}
			if below, ok := strings.CutPrefix(file, ".config/"); ok && m.ConfigHome != "" {
				file = filepath.Join(m.ConfigHome, below)
			} else {
				file = filepath.Join(m.Home, file)
			}
		}
		data, err := readRegular(file)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(bytes.ToLower(data)) {
			line = bytes.TrimSpace(line)
			if len(line) == 0 || line[0] == '#' {
				continue
			}
			if slices.ContainsFunc(r.words, func(w string) bool { return bytes.Contains(line, []byte(w)) }) {
				return file
			}
		}
	}
	return ""
}
