//go:build linux

package trust

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A firefoxBuild is a Firefox installed in a folder of its own.
type firefoxBuild struct {
	dir     string
	version int // the first number of the version
}

// firefoxPrograms is what the commands on this machine lead to.
type firefoxPrograms struct {
	builds  []firefoxBuild
	snap    bool // one starts the snap
	unknown bool // there is a command, and nothing says what it starts
}

// firefoxFolders are where distributions put a Firefox whose command is a
// script that puts the path together.
var firefoxFolders = []string{"/usr/lib/firefox", "/usr/lib64/firefox", "/usr/lib/firefox-esr", "/opt/firefox"}

// absolutePath finds what looks like a path in a shell script.
var absolutePath = regexp.MustCompile(`/[\w.+/-]+`)

// findFirefoxPrograms follows the commands called firefox. They are symbolic
// links to the program, or scripts that start it.
func (m *Machine) findFirefoxPrograms() firefoxPrograms {
	var found firefoxPrograms
	add := func(dir string) bool {
		b, ok := firefoxBuildIn(dir)
		if ok && !slices.Contains(found.builds, b) {
			found.builds = append(found.builds, b)
		}
		return ok
	}
	var unclear bool
	for _, name := range []string{"firefox", "firefox-esr"} {
		for _, file := range lookUpAll(m.programPath(), name) {
			program, err := filepath.EvalSymlinks(file)
			switch {
			case err != nil:
				unclear = true
				continue
			case filepath.Base(program) == "snap":
				found.snap = true
				continue
			case add(filepath.Dir(program)):
				continue
			}
			known := false
			for _, path := range pathsIn(program) {
				if strings.HasPrefix(path, "/snap/") {
					found.snap, known = true, true
					continue
				}
				path = filepath.Join(m.cfg.Root, path)
				if real, err := filepath.EvalSymlinks(path); err == nil {
					path = real
				}
				known = add(path) || add(filepath.Dir(path)) || known
			}
			unclear = unclear || !known
		}
	}
	if unclear && len(found.builds) == 0 {
		for _, dir := range firefoxFolders {
			add(filepath.Join(m.cfg.Root, dir))
		}
		found.unknown = len(found.builds) == 0
	}
	return found
}

// firefoxBuildIn reads what a build says of itself.
func firefoxBuildIn(dir string) (firefoxBuild, bool) {
	data, err := readFile(filepath.Join(dir, "application.ini"))
	if err != nil {
		return firefoxBuild{}, false
	}
	for _, s := range parseINI(data) {
		if s.name != "App" || s.keys["Name"] != "Firefox" {
			continue
		}
		// The developer edition takes no profile that it has not made itself.
		if remote := s.keys["RemotingName"]; strings.Contains(remote, "dev") || strings.Contains(remote, "aurora") {
			continue
		}
		major, _, _ := strings.Cut(s.keys["Version"], ".")
		if version, err := strconv.Atoi(major); err == nil {
			return firefoxBuild{dir, version}, true
		}
	}
	return firefoxBuild{}, false
}

// pathsIn returns the absolute paths that a script names, none if file is not
// a script.
func pathsIn(file string) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil || !bytes.HasPrefix(text, []byte("#!")) {
		return nil
	}
	// The first line names the shell.
	_, text, _ = bytes.Cut(text, []byte("\n"))
	return absolutePath.FindAllString(string(text), -1)
}

// lookUpAll is lookUp for every folder that has the program.
func lookUpAll(path, name string) []string {
	var all []string
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if filepath.IsAbs(dir) && isExecutable(file) && !slices.Contains(all, file) {
			all = append(all, file)
		}
	}
	return all
}
