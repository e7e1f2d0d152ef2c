package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// layouts are the places where browsers keep their databases, by what is in
// the home before they first start (clients.md §4, §5).
var layouts = []struct {
	name              string
	folders           []string // there before any browser
	chromium, firefox string   // where their databases must be
	absent            []string // must not come into being
}{
	{
		"old folders", []string{".pki/nssdb", ".mozilla/firefox"},
		".pki/nssdb", ".mozilla/firefox",
		[]string{".local/share/pki", ".config/mozilla/firefox"},
	}, {
		"new folders", nil,
		".local/share/pki/nssdb", ".config/mozilla/firefox",
		[]string{".pki", ".mozilla/firefox"},
	},
}

// TestBrowsers takes browsers through untrusted, trusted while they run, and
// untrusted again, and compares them with doctor's word.
func TestBrowsers(t *testing.T) {
	for _, layout := range layouts {
		for _, with := range []bool{true, false} {
			t.Run(layout.name+", "+certutilName(with), func(t *testing.T) {
				withCertutil(t, with)
				h := newHome(t)
				for _, dir := range layout.folders {
					if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				p := startPage(t)
				s := start(t, h, usual+fmt.Sprintf("routes.\"page.localhost\" = %q", p.url))
				settle(t)
				clean := readMachine(t)

				browsers := startBrowsers(t, h)
				h.agree(t, "before trust", browsers, false)
				for _, b := range browsers {
					b.mustRefuse(t, s, p)
				}

				trustAll(t, h)
				databases := h.databases(t, layout.chromium, layout.firefox+"/*")
				for _, dir := range databases {
					if got := h.nicknames(t, dir); len(got) != 1 {
						t.Errorf("%s holds %q, want one root of devproxy", dir, got)
					}
				}
				for _, dir := range layout.absent {
					if _, err := os.Lstat(filepath.Join(h.dir, dir)); err == nil {
						t.Errorf("~/%s was made", dir)
					}
				}
				for _, b := range browsers {
					b.mustAcceptSoon(t, s, p)
					b.mustOpen(t, s, p)
				}
				h.agree(t, "after trust", browsers, true)
				stopBrowsers(t, browsers)

				got := h.devproxy(t, "untrust").must(t, 0)
				for _, store := range []string{"System", "Chromium", "Firefox"} {
					mustList(t, got, "removed", store)
				}
				// A profile that Firefox has made but not opened has none again.
				for _, dir := range databases {
					if fileExists(filepath.Join(dir, "cert9.db")) && len(h.nicknames(t, dir)) != 0 {
						t.Errorf("%s still holds %q", dir, h.nicknames(t, dir))
					}
				}
				clean.mustBe(t, readMachine(t))
				h.devproxy(t, "untrust").must(t, 0)

				// A running browser may keep a connection and its verdict about a
				// leaf: a new process shows what is trusted now.
				browsers = startBrowsers(t, h)
				h.agree(t, "after untrust", browsers, false)
				for _, b := range browsers {
					b.mustRefuse(t, s, p)
				}
				stopBrowsers(t, browsers)
			})
		}
	}
}

// agree compares doctor's word about each browser with what it shows.
func (h *home) agree(t *testing.T, phase string, browsers []*browser, accepted bool) {
	t.Helper()
	d := h.diagnose(t, nil, "page.localhost")
	for _, b := range browsers {
		d.mustAgree(t, phase, strings.TrimSuffix(b.name, "-esr"), accepted)
	}
}

// TestTrustAgain takes the root away behind devproxy's back and trusts again. A
// running Chromium has refused the leaf by then and asks about no leaf twice,
// so that there must be another.
func TestTrustAgain(t *testing.T) {
	certutil := certutil(t)
	h := newHome(t)
	profile := filepath.Join(h.dir, ".mozilla/firefox/p")
	if err := os.MkdirAll(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	list := "[Profile0]\nName=p\nIsRelative=1\nPath=p\n"
	if err := os.WriteFile(filepath.Join(h.dir, ".mozilla/firefox/profiles.ini"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, h, head)
	const minted = "trust changed, leaves are minted anew"
	trust := func() {
		t.Helper()
		from := s.mark()
		mustList(t, h.devproxy(t, "trust", "--user").must(t, 0), "trusted", "Firefox")
		s.waitLogAfter(t, from, minted, nil)
	}
	trust()
	for range 2 { // the first trust may be logged twice, and late
		for _, name := range h.nicknames(t, profile) {
			h.run(t, certutil, "-D", "-d", "sql:"+profile, "-n", name).must(t, 0)
		}
		trust()
	}
	h.devproxy(t, "untrust", "--user").must(t, 0)
}

// trustAll trusts in a home where every store can be made to, until the test
// ends.
func trustAll(t *testing.T, h *home) {
	t.Helper()
	begin := time.Now()
	got := h.devproxy(t, "trust")
	t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })
	got.must(t, 0)
	t.Logf("devproxy trust took %v", time.Since(begin).Round(time.Millisecond))
	for _, store := range []string{"System", "Chromium", "Firefox"} {
		mustList(t, got, "trusted", store)
	}
}

// mustList fails the test unless the table of a command has a line for the
// store with that state.
func mustList(t *testing.T, got result, state, store string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(state) + ` +` + regexp.QuoteMeta(store) + `( |$)`)
	if !line.MatchString(got.stdout) {
		t.Errorf("no line %q of %s in the table:\n%s", state, store, got)
	}
}

// mustRefuse fails the test unless the browser, which is known to work, fails
// to load anything from the page over https, several times. By then the page
// in the frame would have reported.
func (b *browser) mustRefuse(t *testing.T, s *server, p *page) {
	t.Helper()
	url, visit := p.visit(s.url("page.localhost", "/"))
	b.frame(t, url)
	for range 3 {
		if problem := b.fetch(t, s.url("page.localhost", "/")); problem == "" {
			t.Errorf("%s loaded a page whose root it must not trust", b.name)
		}
	}
	if _, ok := p.reported(visit); ok {
		t.Errorf("%s ran the script of a page whose root it must not trust", b.name)
	}
}

// mustAcceptSoon waits until the running browser, which has just refused,
// loads from the page.
func (b *browser) mustAcceptSoon(t *testing.T, s *server, p *page) {
	t.Helper()
	begin := time.Now()
	for {
		problem := b.fetch(t, s.url("page.localhost", "/"))
		if problem == "" {
			t.Logf("%s accepts %v after trust, without a restart", b.name, time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("%s still refuses %v after trust: %s", b.name, patience, problem)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// mustOpen goes to the page itself and reads what its script saw.
func (b *browser) mustOpen(t *testing.T, s *server, p *page) {
	t.Helper()
	url, visit := p.visit(s.url("page.localhost", "/"))
	b.open(t, url)
	want := report{Visit: visit, Protocol: "h2", Echo: greeting, Secure: true, Top: true}
	if got := p.wait(t, visit); got != want {
		t.Errorf("%s opened the page: got %+v, want %+v", b.name, got, want)
	}
}

// databases returns the folders below the home that match patterns and hold an
// NSS database; each pattern must have one. Firefox makes two profiles at its
// first start.
func (h *home) databases(t *testing.T, patterns ...string) []string {
	t.Helper()
	var dirs []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(h.dir, pattern, "cert9.db"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Fatalf("no database in ~/%s", pattern)
		}
		for _, file := range found {
			dirs = append(dirs, filepath.Dir(file))
		}
	}
	return dirs
}
