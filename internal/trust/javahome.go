package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// programName returns the file name of a program.
func programName(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// rootKeytool returns tool if root may run it: its files are root's alone.
func rootKeytool(tool string) string {
	if tool != "" && rootOwned(tool) {
		return tool
	}
	return ""
}

// findJDKs returns the key stores of the Javas that were asked for.
func findJDKs(m *Machine, _ anchor) (stores []store, notices []Status) {
	if !m.cfg.Java {
		return nil, nil
	}
	homes, bad := m.javaHomes()
	notices = bad
	var seen []string
	for _, home := range homes {
		file, err := cacerts(home)
		if err != nil {
			notices = append(notices, Status{Store: "Java", Location: home, State: NotTrusted, Detail: err.Error(),
				Fix: "name the home of a Java: devproxy trust --java=/path/to/jdk"})
			continue
		}
		if m.isSystemJava(file) || slices.Contains(seen, file) {
			continue // it has a row already
		}
		seen = append(seen, file)
		if m.cfg.UserOnly && m.cfg.JavaHome == "" && !canWrite(file) {
			continue
		}
		stores = append(stores, m.jdk(file))
	}
	return stores, notices
}

// isSystemJava reports whether a file is the key store of the distribution.
func (m *Machine) isSystemJava(file string) bool {
	l, ok := m.layout()
	if !ok || m.cfg.UserOnly {
		return false
	}
	a, errA := os.Stat(m.at(l.java[0]))
	b, errB := os.Stat(file)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// javaHomes returns the homes of the Javas that are meant: the one that was
// named, else those whose programs Path finds.
func (m *Machine) javaHomes() (homes []string, notices []Status) {
	if home := m.cfg.JavaHome; home != "" {
		if !filepath.IsAbs(home) {
			return nil, []Status{{Store: "Java", State: NotTrusted,
				Detail: fmt.Sprintf("the home of Java, %q, is not an absolute path", home),
				Fix:    "name it in full: devproxy trust --java=/path/to/jdk"}}
		}
		return []string{filepath.Clean(home)}, nil
	}
	var wrappers []string
	for _, name := range []string{"java", "keytool"} {
		program := lookUp(m.cfg.Path, programName(name))
		if program == "" {
			continue
		}
		home := homeOf(program)
		if _, err := cacerts(home); err != nil {
			// A stub, as macOS has, or the script of a version manager.
			if home = m.askJava(program, name); home == "" {
				wrappers = append(wrappers, program)
				continue
			}
		}
		if !slices.Contains(homes, home) {
			homes = append(homes, home)
		}
	}
	switch {
	case len(homes) > 0:
		return homes, nil
	case len(wrappers) > 0:
		return nil, []Status{{Store: "Java", Location: wrappers[0], State: NotTrusted,
			Detail: "this does not tell where its Java is installed",
			Fix:    "name its home: devproxy trust --java=/path/to/jdk"}}
	}
	return nil, []Status{{Store: "Java", State: Unknown,
		Detail: "no Java found: neither java nor keytool is on PATH",
		Fix:    "name its home: devproxy trust --java=/path/to/jdk"}}
}

// homeOf returns the folder above the bin that holds a program.
func homeOf(program string) string {
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	return filepath.Dir(filepath.Dir(program))
}

// askJava has java tell its home, "" if it does not.
func (m *Machine) askJava(program, name string) string {
	if name != "java" {
		return ""
	}
	r, err := m.run(context.Background(), program, "-XshowSettings:properties", "-version")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(r.errs) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "java.home" {
			return filepath.Clean(strings.TrimSpace(value))
		}
	}
	return ""
}

// cacerts returns the key store of a Java home, with links resolved. Java 8
// has it in jre.
func cacerts(home string) (string, error) {
	if info, err := os.Stat(home); err != nil {
		return "", fmt.Errorf("look for Java: %v", err)
	} else if !info.IsDir() {
		return "", fmt.Errorf("look for Java: %s is not a folder", home)
	}
	for _, dir := range []string{"lib", "jre/lib"} {
		file, err := filepath.EvalSymlinks(filepath.Join(home, dir, "security/cacerts"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", fmt.Errorf("look for Java: %v", err)
		case !isFile(file):
			return "", fmt.Errorf("look for Java: %s is not a file", file)
		}
		return file, nil
	}
	return "", fmt.Errorf("%s is no home of a Java: it has no lib/security/cacerts", home)
}
