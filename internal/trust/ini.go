//go:build linux

package trust

import "strings"

// A section is one [name] of an INI file with its keys.
type section struct {
	name string
	keys map[string]string
}

// parseINI reads an INI file as Firefox writes them. Names of sections and
// keys are compared exactly, comments and lines that make no sense are skipped,
// and a later value replaces an earlier one.
func parseINI(text []byte) []section {
	var all []section
	open := false
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\uFEFF")) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			if name, open = strings.CutSuffix(name, "]"); open {
				all = append(all, section{name, make(map[string]string)})
			}
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && open && !strings.HasPrefix(key, "#") && !strings.HasPrefix(key, ";") {
			all[len(all)-1].keys[key] = value
		}
	}
	return all
}

// A profile is a section [Profile<n>] of Firefox's profiles.ini.
type profile struct {
	path     string
	relative bool // to the folder of profiles.ini
}

// parseProfiles reads the profiles of a profiles.ini. One without Path is left
// out.
func parseProfiles(text []byte) []profile {
	var all []profile
	for _, s := range parseINI(text) {
		path := s.keys["Path"]
		if strings.HasPrefix(s.name, "Profile") && path != "" && !strings.ContainsRune(path, 0) {
			all = append(all, profile{path: path, relative: s.keys["IsRelative"] == "1"})
		}
	}
	return all
}

// parseInstalls returns the sections [Install<hash>] of a profiles.ini. Each
// Firefox that was started with profiles of its own has one.
func parseInstalls(text []byte) []string {
	var all []string
	for _, s := range parseINI(text) {
		if strings.HasPrefix(s.name, "Install") && s.keys["Default"] != "" {
			all = append(all, s.name)
		}
	}
	return all
}
