//go:build linux

package trust

import (
	"fmt"
	"os"
	"path/filepath"
)

// findFirefox returns the database of every Firefox profile. Profiles lie in
// ~/.mozilla/firefox or, since Firefox 147, in mozilla/firefox below the
// user's configuration where the former is not there already; both may have
// some. Snap and flatpak have folders of their own (clients.md §5, §12).
func (m *Machine) findFirefox() (stores []store, notices []Status) {
	home, config := m.cfg.Home, m.cfg.ConfigHome
	flatpak := filepath.Join(home, ".var/app/org.mozilla.firefox")
	for _, f := range []struct {
		name      string
		installed bool
		bases     []string
	}{
		{
			name:      "Firefox",
			installed: lookUp(m.programPath(), "firefox", "firefox-esr") != "",
			bases:     []string{filepath.Join(home, ".mozilla/firefox"), filepath.Join(config, "mozilla/firefox")},
		}, {
			name:      "Firefox (snap)",
			installed: isDir(filepath.Join(home, "snap/firefox")),
			bases:     []string{filepath.Join(home, "snap/firefox/common/.mozilla/firefox")},
		}, {
			name:      "Firefox (flatpak)",
			installed: isDir(flatpak),
			bases:     []string{filepath.Join(flatpak, ".mozilla/firefox"), filepath.Join(flatpak, "config/mozilla/firefox")},
		},
	} {
		var profiles []string
		seen := make(map[string]bool)
		for _, base := range f.bases {
			found, err := firefoxProfiles(base)
			if err != nil {
				notices = append(notices, Status{
					Store:    f.name,
					Location: base,
					Detail:   fmt.Sprintf("cannot tell which profiles there are: %v", err),
				})
			}
			for _, dir := range found {
				// An absolute path in one list may be a relative one in another.
				real, err := filepath.EvalSymlinks(dir)
				if err == nil && !seen[real] {
					seen[real] = true
					profiles = append(profiles, dir)
				}
			}
		}
		for _, dir := range profiles {
			stores = append(stores, m.database(f.name, dir))
		}
		if len(profiles) == 0 && f.installed {
			notices = append(notices, Status{
				Store:  f.name,
				State:  NotTrusted,
				Detail: "Firefox has no profile yet",
				Fix:    "start Firefox once, then trust again",
			})
		}
	}
	return stores, notices
}

// firefoxProfiles returns the profile folders that base's profiles.ini lists,
// wherever they are, and those in base that it does not list but that have
// been used. A listed profile that was never opened has no database yet.
func firefoxProfiles(base string) ([]string, error) {
	if !isDir(base) {
		return nil, nil
	}
	var dirs []string
	var listErr error
	ini := filepath.Join(base, "profiles.ini")
	if isFile(ini) {
		data, err := readFile(ini)
		listErr = err
		for _, p := range parseProfiles(data) {
			dir := filepath.FromSlash(p.path)
			if p.relative {
				dir = filepath.Join(base, dir)
			}
			if filepath.IsAbs(dir) && isDir(dir) {
				dirs = append(dirs, filepath.Clean(dir))
			}
		}
	}
	entries, err := os.ReadDir(base)
	if err != nil && listErr == nil {
		listErr = err
	}
	for _, e := range entries {
		if dir := filepath.Join(base, e.Name()); hasDatabase(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, listErr
}
