//go:build linux

package trust

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLayouts builds homes and lists the stores found there, as "name place"
// below the home, notices as "name ?".
func TestLayouts(t *testing.T) {
	const (
		chromium = "../root/usr/bin/chromium"
		firefox  = "../root/usr/bin/firefox"
	)
	for _, tc := range []struct {
		name string
		home []string
		want []string
	}{
		{name: "empty home, no browser"},
		{
			name: "Chromium never started",
			home: []string{chromium},
			want: []string{"Chromium .local/share/pki/nssdb"},
		}, {
			name: "only its configuration shows that there is a Chrome",
			home: []string{".config/google-chrome/"},
			want: []string{"Chromium .local/share/pki/nssdb"},
		}, {
			name: "new folder",
			home: []string{".local/share/pki/nssdb/cert9.db"},
			want: []string{"Chromium .local/share/pki/nssdb"},
		}, {
			name: "old folder",
			home: []string{".pki/nssdb/cert9.db"},
			want: []string{"Chromium .pki/nssdb"},
		}, {
			name: "both folders: the old one hides the new one",
			home: []string{".pki/nssdb/cert9.db", ".local/share/pki/nssdb/cert9.db"},
			want: []string{"Chromium .pki/nssdb"},
		}, {
			name: "an empty old folder hides the new one too",
			home: []string{chromium, ".pki/nssdb/", ".local/share/pki/nssdb/cert9.db"},
			want: []string{"Chromium .pki/nssdb"},
		}, {
			name: "an old path that is no folder hides nothing",
			home: []string{chromium, ".pki/nssdb", ".local/share/pki/nssdb/cert9.db"},
			want: []string{"Chromium .local/share/pki/nssdb"},
		}, {
			name: "the parent alone hides nothing",
			home: []string{chromium, ".pki/"},
			want: []string{"Chromium .local/share/pki/nssdb"},
		}, {
			name: "empty old folder, nobody to read it",
			home: []string{".pki/nssdb/"},
		}, {
			name: "snap of Chromium",
			home: []string{"snap/chromium/2024/.pki/nssdb/cert9.db", "snap/chromium/current->2024"},
			want: []string{"Chromium (snap) snap/chromium/current/.pki/nssdb"},
		}, {
			name: "snap of Chromium, new folder",
			home: []string{"snap/chromium/2024/", "snap/chromium/current->2024"},
			want: []string{"Chromium (snap) snap/chromium/current/.local/share/pki/nssdb"},
		}, {
			name: "flatpak of Chrome",
			home: []string{".var/app/com.google.Chrome/"},
			want: []string{"com.google.Chrome (flatpak) ?"},
		}, {
			name: "Firefox never started",
			home: []string{firefox},
			want: []string{"Firefox ?"},
		}, {
			name: "profiles in the old folder",
			home: []string{
				firefox,
				".mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=1\nPath=aa.default\n[Profile1]\nIsRelative=1\nPath=bb.other\n",
				".mozilla/firefox/aa.default/cert9.db",
				".mozilla/firefox/bb.other/",
			},
			want: []string{"Firefox .mozilla/firefox/aa.default", "Firefox .mozilla/firefox/bb.other"},
		}, {
			name: "profiles in the new folder",
			home: []string{
				".config/mozilla/firefox/profiles.ini=\uFEFF[Install4F96]\r\nDefault=aa.default\r\n[Profile0]\r\nName=x\r\nIsRelative=1\r\nPath=aa.default\r\n",
				".config/mozilla/firefox/aa.default/",
			},
			want: []string{"Firefox .config/mozilla/firefox/aa.default"},
		}, {
			name: "both folders",
			home: []string{
				".mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=1\nPath=old\n",
				".mozilla/firefox/old/cert9.db",
				".config/mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=1\nPath=new\n",
				".config/mozilla/firefox/new/cert9.db",
			},
			want: []string{"Firefox .mozilla/firefox/old", "Firefox .config/mozilla/firefox/new"},
		}, {
			name: "profiles elsewhere, listed twice, listed but gone, not listed",
			home: []string{
				".mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=0\nPath=HOME/elsewhere/profile\n[Profile1]\nIsRelative=1\nPath=../../elsewhere/profile\n" +
					"[Profile2]\nIsRelative=1\nPath=gone\n[Profile3]\nPath=relative/but/not/said/so\n",
				"elsewhere/profile/",
				".mozilla/firefox/relative/but/not/said/so/",
				".mozilla/firefox/stray/cert9.db",
				".mozilla/firefox/Crash Reports/",
			},
			want: []string{"Firefox elsewhere/profile", "Firefox .mozilla/firefox/stray"},
		}, {
			name: "Firefox removed, nothing left but a folder",
			home: []string{".mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=1\nPath=gone\n"},
		}, {
			name: "snap of Firefox",
			home: []string{"snap/firefox/common/.mozilla/firefox/profiles.ini=[Profile0]\nIsRelative=1\nPath=aa\n", "snap/firefox/common/.mozilla/firefox/aa/"},
			want: []string{"Firefox (snap) snap/firefox/common/.mozilla/firefox/aa"},
		}, {
			name: "snap of Firefox never started",
			home: []string{"snap/firefox/common/"},
			want: []string{"Firefox (snap) ?"},
		}, {
			name: "flatpak of Firefox, both folders",
			home: []string{
				".var/app/org.mozilla.firefox/.mozilla/firefox/old/cert9.db",
				".var/app/org.mozilla.firefox/config/mozilla/firefox/new/cert9.db",
			},
			want: []string{
				"Firefox (flatpak) .var/app/org.mozilla.firefox/.mozilla/firefox/old",
				"Firefox (flatpak) .var/app/org.mozilla.firefox/config/mozilla/firefox/new",
			},
		}, {
			name: "everything at once",
			home: []string{
				chromium, firefox, ".pki/nssdb/cert9.db", "snap/chromium/current/",
				".mozilla/firefox/aa/cert9.db", "snap/firefox/common/.mozilla/firefox/bb/cert9.db",
			},
			want: []string{
				"Chromium .pki/nssdb", "Chromium (snap) snap/chromium/current/.local/share/pki/nssdb",
				"Firefox .mozilla/firefox/aa", "Firefox (snap) snap/firefox/common/.mozilla/firefox/bb",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMachine(t)
			for _, what := range tc.home {
				build(t, m.cfg.Home, what)
			}
			stores, notices := m.find(anchor{})
			var got []string
			for _, s := range stores {
				name, place := s.label()
				rel, err := filepath.Rel(m.cfg.Home, place)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, name+" "+rel)
			}
			for _, n := range notices {
				got = append(got, n.Store+" ?")
				if n.State == Trusted || n.Detail == "" || n.Fix == "" {
					t.Errorf("notice %+v: want a reason and a fix, never success", n)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNoHome(t *testing.T) {
	m := newMachine(t)
	m.cfg.Home = ""
	if stores, notices := m.find(anchor{}); stores != nil || notices != nil {
		t.Errorf("got %v, %v, want nothing", stores, notices)
	}
}

func FuzzParseProfiles(f *testing.F) {
	f.Add("[Profile0]\nName=default\nIsRelative=1\nPath=abc.default\n\n[General]\nPath=no\n")
	f.Add("\uFEFF[Profile0]\r\nPath=a=b\r\n[Profile1\nPath=c\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range parseProfiles([]byte(text)) {
			if p.path == "" || strings.ContainsAny(p.path, "\x00\n") || !strings.Contains(text, p.path) {
				t.Errorf("%q: got path %q", text, p.path)
			}
		}
	})
}
