//go:build linux

package trust

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// application returns what a Firefox of a version has in its folder.
func application(version string) string {
	return "=[App]\nVendor=Mozilla\nName=Firefox\nVersion=" + version + "\n"
}

// TestFirefoxPrograms builds file systems and follows the commands there.
func TestFirefoxPrograms(t *testing.T) {
	for _, tc := range []struct {
		name    string
		root    []string
		builds  string // "folder version …"
		snap    bool
		unknown bool
	}{
		{name: "none"},
		{
			name:   "link to the program",
			root:   []string{"opt/bin/application.ini" + application("147.0.1"), "opt/bin/firefox", "usr/bin/", "usr/bin/firefox->../../opt/bin/firefox"},
			builds: "/opt/bin 147",
		}, {
			name:   "script",
			root:   []string{"usr/lib/firefox/application.ini" + application("153.0"), "usr/bin/firefox=#!/bin/sh\nexec /usr/lib/firefox/firefox \"$@\"\n"},
			builds: "/usr/lib/firefox 153",
		}, {
			name: "link that leads nowhere",
			root: []string{"usr/bin/", "usr/bin/firefox->../lib/firefox/firefox"},
		}, {
			name: "two names for one build",
			root: []string{
				"usr/lib/firefox-esr/application.ini" + application("153.7.0"),
				"usr/bin/firefox=#!/bin/sh\nexec firefox-esr \"$@\"\n",
				"usr/bin/firefox-esr=#!/bin/sh\nexec /usr/lib/firefox-esr/firefox-esr\n",
			},
			builds: "/usr/lib/firefox-esr 153",
		}, {
			name:   "script that puts the path together",
			root:   []string{"usr/lib64/firefox/application.ini" + application("150.0"), "usr/bin/firefox=#!/bin/bash\nMOZ_LIB_DIR=/usr/lib64\nexec $MOZ_LIB_DIR/firefox/firefox\n"},
			builds: "/usr/lib64/firefox 150",
		}, {
			name: "two builds",
			root: []string{
				"usr/lib/firefox-esr/application.ini" + application("140.2"),
				"opt/firefox/application.ini" + application("153.0"),
				"usr/bin/firefox-esr=#!/bin/sh\nexec /usr/lib/firefox-esr/firefox-esr\n",
				"usr/local/bin/firefox=#!/bin/sh\nexec /opt/firefox/firefox\n",
			},
			builds: "/opt/firefox 153 /usr/lib/firefox-esr 140",
		}, {
			name: "Ubuntu's script for the snap",
			root: []string{"usr/bin/firefox=#!/bin/sh\nif ! [ -x /snap/bin/firefox ]; then exit 1; fi\nexec /snap/bin/firefox \"$@\"\n"},
			snap: true,
		}, {
			name: "snap",
			root: []string{"usr/bin/snap", "usr/local/bin/", "usr/local/bin/firefox->../../bin/snap"},
			snap: true,
		}, {
			name:    "something else",
			root:    []string{"usr/bin/firefox=\x7fELF"},
			unknown: true,
		}, {
			name:    "another program's folder",
			root:    []string{"usr/lib/x/application.ini=[App]\nName=Thunderbird\nVersion=153.0\n", "usr/bin/firefox=#!/bin/sh\nexec /usr/lib/x/x\n"},
			unknown: true,
		}, {
			name:    "developer edition",
			root:    []string{"opt/x/application.ini" + application("153.0") + "RemotingName=firefox-dev\n", "usr/bin/firefox=#!/bin/sh\nexec /opt/x/firefox\n"},
			unknown: true,
		}, {
			name:    "a version that is no number",
			root:    []string{"usr/lib/x/application.ini" + application("new"), "usr/bin/firefox=#!/bin/sh\nexec /usr/lib/x/x\n"},
			unknown: true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			for _, what := range tc.root {
				build(t, m.cfg.Root, what)
			}
			got := m.findFirefoxPrograms()
			var builds []string
			for _, b := range got.builds {
				builds = append(builds, strings.TrimPrefix(b.dir, m.cfg.Root)+" "+strconv.Itoa(b.version))
			}
			if s := strings.Join(builds, " "); s != tc.builds || got.snap != tc.snap || got.unknown != tc.unknown {
				t.Errorf("got %q, snap %t, unknown %t, want %q, %t, %t", s, got.snap, got.unknown, tc.builds, tc.snap, tc.unknown)
			}
		})
	}
}

// addFirefox installs a Firefox in /usr/lib/NAME.
func addFirefox(t testing.TB, m *Machine, name, version string) {
	t.Helper()
	build(t, m.cfg.Root, "usr/lib/"+name+"/application.ini"+application(version))
	build(t, m.cfg.Root, "usr/bin/"+name+"=#!/bin/sh\nexec /usr/lib/"+name+"/"+name+" \"$@\"\n")
}

// TestFirstProfile lists what is found where no profile is, or none is used.
func TestFirstProfile(t *testing.T) {
	const xdg, old = ".config/mozilla/firefox", ".mozilla/firefox"
	for _, tc := range []struct {
		name     string
		versions []string // one build each
		home     []string
		base     string // of the planned profile; "" if there is none
		notices  int
	}{
		{name: "new", versions: []string{"153.7.0"}, base: xdg},
		{name: "first with the new folder", versions: []string{"147.0"}, base: xdg},
		{name: "last without the new folder", versions: []string{"146.0.1"}, base: old},
		{name: "new, and the old folder is there", versions: []string{"153.0"}, home: []string{old + "/"}, base: old},
		{name: "only the parent of the old folder", versions: []string{"153.0"}, home: []string{".mozilla/"}, base: xdg},
		{name: "empty new folder", versions: []string{"153.0"}, home: []string{xdg + "/"}, base: xdg},
		{name: "other things there", versions: []string{"153.0"}, home: []string{xdg + "/Crash Reports/x"}, base: xdg},
		{name: "list without profiles", versions: []string{"153.0"}, home: []string{xdg + "/profiles.ini=[General]\nVersion=2\n"}, notices: 1},
		{name: "list of what is gone", versions: []string{"153.0"}, home: []string{xdg + "/profiles.ini=[Profile0]\nIsRelative=1\nPath=gone\n"}, notices: 1},
		{name: "only the copy of the list", versions: []string{"153.0"}, home: []string{xdg + "/installs.ini"}, notices: 1},
		{name: "two builds, one for the old folder", versions: []string{"153.0", "140.0"}, base: old, notices: 1},
		{name: "two builds", versions: []string{"153.0", "155.0"}, base: xdg, notices: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			for i, v := range tc.versions {
				addFirefox(t, m, []string{"firefox", "firefox-esr"}[i], v)
			}
			for _, what := range tc.home {
				build(t, m.cfg.Home, what)
			}
			before := tree(t, m.cfg.Home)
			stores, notices := m.findFirefox()
			if len(notices) != tc.notices {
				t.Errorf("got notices %+v, want %d", notices, tc.notices)
			}
			for _, n := range notices {
				if n.State == Trusted || n.Detail == "" || n.Fix == "" || n.Store == "" {
					t.Errorf("notice %+v: want a reason and a fix, never success", n)
				}
			}
			if tc.base == "" {
				if len(stores) != 0 {
					t.Errorf("got %v, want none", stores)
				}
				return
			}
			if len(stores) != 1 {
				t.Fatalf("got %v, want one", stores)
			}
			_, dir := stores[0].label()
			if got, want := filepath.Dir(dir), filepath.Join(m.cfg.Home, tc.base); got != want {
				t.Errorf("got a profile in %s, want %s", got, want)
			}
			again, _ := m.findFirefox()
			if _, second := again[0].label(); second != dir {
				t.Errorf("got %s, then %s", dir, second)
			}
			if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
				t.Errorf("finding changed the home: got %q, want %q", got, before)
			}
		})
	}
}

// What a build that was started says in the list of profiles counts.
func TestUnstarted(t *testing.T) {
	used := "[Profile0]\nName=default\nIsRelative=1\nPath=aa\nDefault=1\n"
	for _, tc := range []struct {
		name   string
		builds int
		list   string
		want   bool
	}{
		{"one build", 1, used, false},
		{"two builds, neither in the list: they share a profile", 2, used, false},
		{"two builds, one in the list", 2, used + "[InstallAA]\nDefault=aa\n", true},
		{"two builds, one twice in the list", 2, used + "[InstallAA]\nDefault=aa\n[InstallAA]\nDefault=aa\n", true},
		{"two builds, both in the list", 2, used + "[InstallAA]\nDefault=aa\n[InstallBB]\nDefault=aa\n", false},
		{"two builds, one has lost its profile", 2, used + "[InstallAA]\nDefault=aa\n[InstallBB]\nLocked=1\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			for _, name := range []string{"firefox", "firefox-esr"}[:tc.builds] {
				addFirefox(t, m, name, "153.0")
			}
			build(t, m.cfg.Home, ".config/mozilla/firefox/aa/cert9.db")
			build(t, m.cfg.Home, ".config/mozilla/firefox/profiles.ini="+tc.list)
			_, notices := m.findFirefox()
			if got := len(notices) == 1; got != tc.want || len(notices) > 1 {
				t.Errorf("got %+v, want a notice: %t", notices, tc.want)
			}
		})
	}
}

// tree returns every path below dir with its mode and, of files, the content.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() + " " + path
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += "=" + string(data)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A snap is told to be started, though its command lies where others do.
func TestFirefoxSnapCommand(t *testing.T) {
	m := newMachine(t)
	build(t, m.cfg.Root, "usr/bin/firefox=#!/bin/sh\nexec /snap/bin/firefox \"$@\"\n")
	stores, notices := m.findFirefox()
	if len(stores) != 0 || only(t, notices).Store != "Firefox (snap)" {
		t.Errorf("got %v, %+v, want a notice for the snap", stores, notices)
	}
}

// As long as nobody has started any of two builds, each run says so.
func TestUnstartedAfterTrust(t *testing.T) {
	m := newMachine(t)
	addFirefox(t, m, "firefox", "153.0")
	addFirefox(t, m, "firefox-esr", "153.0")
	stores, _ := m.findFirefox()
	s, ok := stores[0].(*seededStore)
	if !ok {
		t.Fatalf("got %T, want a prepared profile", stores[0])
	}
	if err := s.seed.prepare(); err != nil {
		t.Fatal(err)
	}
	again, notices := m.findFirefox()
	if len(again) != 1 || only(t, notices).State != Unknown {
		t.Errorf("got %v, %+v, want the profile and a notice", again, notices)
	}
	if _, dir := again[0].label(); dir != s.seed.dir {
		t.Errorf("got %s, want %s", dir, s.seed.dir)
	}
}
