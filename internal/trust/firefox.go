//go:build linux

package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// findFirefox returns the database of every Firefox profile. Profiles lie in
// ~/.mozilla/firefox or, since Firefox 147, in mozilla/firefox below the
// user's configuration where the former is not there already; both may have
// some. Snap and flatpak have folders of their own (clients.md §5, §12). For a
// Firefox that was never started it returns the database of the profile that
// Firefox will start with once that is made.
func (m *Machine) findFirefox() (stores []store, notices []Status) {
	home, config := m.cfg.Home, m.cfg.ConfigHome
	flatpak := filepath.Join(home, ".var/app/org.mozilla.firefox")
	programs := m.findFirefoxPrograms()
	for _, f := range []struct {
		name      string
		installed bool
		builds    []firefoxBuild // that keep their profiles in bases
		bases     []string
	}{
		{
			name:      "Firefox",
			installed: len(programs.builds) > 0 || programs.unknown,
			builds:    programs.builds,
			bases:     []string{filepath.Join(home, ".mozilla/firefox"), filepath.Join(config, "mozilla/firefox")},
		}, {
			name:      "Firefox (snap)",
			installed: isDir(filepath.Join(home, "snap/firefox")) || programs.snap,
			bases:     []string{filepath.Join(home, "snap/firefox/common/.mozilla/firefox")},
		}, {
			name:      "Firefox (flatpak)",
			installed: isDir(flatpak),
			bases:     []string{filepath.Join(flatpak, ".mozilla/firefox"), filepath.Join(flatpak, "config/mozilla/firefox")},
		},
	} {
		var profiles, started []string
		seen := make(map[string]bool)
		for _, base := range f.bases {
			found, installs, err := firefoxProfiles(base)
			if err != nil {
				notices = append(notices, Status{
					Store:    f.name,
					Location: base,
					Detail:   fmt.Sprintf("cannot tell which profiles there are: %v", err),
				})
			}
			started = append(started, installs...)
			for _, dir := range found {
				// An absolute path in one list may be a relative one in another.
				real, err := filepath.EvalSymlinks(dir)
				if err == nil && !seen[real] {
					seen[real] = true
					profiles = append(profiles, dir)
				}
			}
		}
		var seed bool
		for _, dir := range profiles {
			stores = append(stores, m.database(f.name, dir))
			seed = seed || profileSeed{dir}.unused()
		}
		if len(profiles) == 0 && f.installed {
			if s, ok := m.firstProfile(f.builds); ok {
				stores = append(stores, m.seededStore(f.name, s))
				seed = true
			} else {
				notices = append(notices, Status{
					Store:  f.name,
					State:  NotTrusted,
					Detail: "Firefox has no profile yet",
					Fix:    "start Firefox once, then trust again",
				})
			}
		}
		if n, ok := unstarted(f.builds, started, seed); ok {
			n.Store = f.name
			notices = append(notices, n)
		}
	}
	return stores, notices
}

// xdgVersion is the first Firefox that looks for profiles below the user's
// configuration.
const xdgVersion = 147

// firstProfile returns the profile that builds will start with, if it can be
// told where they look and nothing is there.
func (m *Machine) firstProfile(builds []firefoxBuild) (profileSeed, bool) {
	if len(builds) == 0 {
		return profileSeed{}, false
	}
	base := filepath.Join(m.cfg.Home, ".mozilla/firefox")
	old := slices.ContainsFunc(builds, func(b firefoxBuild) bool { return b.version < xdgVersion })
	if !old && !present(base) {
		if !filepath.IsAbs(m.cfg.ConfigHome) {
			return profileSeed{}, false
		}
		base = filepath.Join(m.cfg.ConfigHome, "mozilla/firefox")
	}
	seed := m.newProfileSeed(base)
	return seed, seed.possible()
}

// unstarted says that some of several builds will make a profile of their own
// when they are started. A build that shares the profiles of another shows in
// no list; only a list that some build is in tells anything.
func unstarted(builds []firefoxBuild, started []string, seed bool) (Status, bool) {
	slices.Sort(started)
	count := len(slices.Compact(started))
	if len(builds) < 2 || count >= len(builds) || count == 0 && !seed {
		return Status{}, false
	}
	var dirs []string
	for _, b := range builds {
		dirs = append(dirs, b.dir)
	}
	return Status{
		State:  Unknown,
		Detail: "not every Firefox was started yet, and each has a profile of its own: " + strings.Join(dirs, ", "),
		Fix:    "start each of them once, then trust again",
	}, true
}

// firefoxProfiles returns the profile folders that base's profiles.ini lists,
// wherever they are, and those in base that it does not list but that have
// been used. A listed profile that was never opened has no database yet. With
// them come the builds in that list, in the list's own terms.
func firefoxProfiles(base string) (dirs, builds []string, err error) {
	if !isDir(base) {
		return nil, nil, nil
	}
	var listErr error
	ini := filepath.Join(base, "profiles.ini")
	if isFile(ini) {
		data, err := readFile(ini)
		listErr = err
		builds = parseInstalls(data)
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
	return dirs, builds, listErr
}
