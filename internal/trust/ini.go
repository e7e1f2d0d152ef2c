//go:build linux

package trust

import "strings"

// A profile is a section [Profile<n>] of Firefox's profiles.ini.
type profile struct {
	path     string
	relative bool // to the folder of profiles.ini
}

// parseProfiles reads the profiles of a profiles.ini. Names of sections and
// keys are compared exactly, lines that make no sense are skipped, and a later
// value replaces an earlier one. A profile without Path is left out.
func parseProfiles(text []byte) []profile {
	var all []profile
	var current *profile
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\uFEFF")) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			current = nil
			if name, ok := strings.CutSuffix(name, "]"); ok && strings.HasPrefix(name, "Profile") {
				all = append(all, profile{})
				current = &all[len(all)-1]
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || current == nil {
			continue
		}
		switch key {
		case "Path":
			current.path = value
		case "IsRelative":
			current.relative = value == "1"
		}
	}
	kept := all[:0]
	for _, p := range all {
		if p.path != "" && !strings.ContainsRune(p.path, 0) {
			kept = append(kept, p)
		}
	}
	return kept
}
