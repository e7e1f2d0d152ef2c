package e2e

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
// untrusted again.
func TestBrowsers(t *testing.T) {
	tool(t, "certutil")
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			h := newHome(t)
			for _, dir := range layout.folders {
				if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			p := startPage(t)
			s := start(t, h, head+fmt.Sprintf("routes.\"page.localhost\" = %q", p.url))
			// The machine's store may be behind its folders. The hook for Java
			// works with root's PATH only.
			h.run(t, "/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "update-ca-certificates").must(t, 0)
			clean := readSystemStore(t)

			browsers := startBrowsers(t, h)
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
			stopBrowsers(t, browsers)

			got := h.devproxy(t, "untrust").must(t, 0)
			for _, store := range []string{"System", "Chromium", "Firefox"} {
				mustList(t, got, "removed", store)
			}
			for _, dir := range databases {
				if got := h.nicknames(t, dir); len(got) != 0 {
					t.Errorf("%s still holds %q", dir, got)
				}
			}
			clean.mustBe(t, readSystemStore(t))
			h.devproxy(t, "untrust").must(t, 0)

			// A running browser may keep a connection and its verdict about a
			// leaf: a new process shows what is trusted now.
			browsers = startBrowsers(t, h)
			for _, b := range browsers {
				b.mustRefuse(t, s, p)
			}
			stopBrowsers(t, browsers)
		})
	}
}

// TestBrowserFirstStart trusts before any browser was ever started.
func TestBrowserFirstStart(t *testing.T) {
	tool(t, "chromium")
	tool(t, "firefox-esr")
	tool(t, "certutil")
	h := newHome(t)
	p := startPage(t)
	s := start(t, h, head+fmt.Sprintf("routes.\"page.localhost\" = %q", p.url))

	// Firefox has no place yet where it would look.
	got := h.devproxy(t, "trust").must(t, 3)
	t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })
	mustList(t, got, "trusted", "System")
	mustList(t, got, "trusted", "Chromium")
	mustList(t, got, "not trusted", "Firefox")
	if want := "hint: Firefox: start Firefox once, then trust again"; !strings.Contains(got.stderr, want) {
		t.Errorf("stderr lacks %q:\n%s", want, got)
	}

	chromium := startBrowser(t, h, "chromium")
	firefox := startBrowser(t, h, "firefox-esr")
	chromium.awake(t)
	if problem := chromium.fetch(t, s.url("page.localhost", "/")); problem != "" {
		t.Errorf("Chromium's first start: %s", problem)
	}
	chromium.mustOpen(t, s, p)

	// What the hint says.
	firefox.awake(t)
	trustAll(t, h)
	firefox.mustAcceptSoon(t, s, p)
	firefox.mustOpen(t, s, p)
}

// TestTrustAgain takes the root away behind devproxy's back and trusts again. A
// running Chromium has refused the leaf by then and asks about no leaf twice,
// so that there must be another.
func TestTrustAgain(t *testing.T) {
	certutil := tool(t, "certutil")
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

// nicknames returns what devproxy put into an NSS database, as certutil sees
// it.
func (h *home) nicknames(t *testing.T, dir string) []string {
	t.Helper()
	list := h.run(t, tool(t, "certutil"), "-L", "-d", "sql:"+dir).must(t, 0).stdout
	return regexp.MustCompile(`(?m)^devproxy\S*`).FindAllString(list, -1)
}

// A systemStore is the content of Debian's store, wherever clients read it.
type systemStore map[string]string

func readSystemStore(t *testing.T) systemStore {
	t.Helper()
	store := make(systemStore)
	for _, dir := range []string{"/etc/ssl/certs", "/usr/local/share/ca-certificates"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if target, err := os.Readlink(path); err == nil {
				store[path] = "-> " + target
			} else if !e.IsDir() {
				store[path] = certificates(t, path)
			}
		}
	}
	if java := "/etc/ssl/certs/java/cacerts"; fileExists(java) {
		// Entries have a date of their own, so that bytes cannot be compared.
		list := finish(t, newHome(t).command(t, tool(t, "keytool"), "-list", "-rfc", "-keystore", java, "-storepass", "changeit")).must(t, 0)
		for alias, cert := range javaEntries(list.stdout) {
			store[java+" "+alias] = cert
		}
	}
	return store
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// certificates returns a file's certificates without regard to their order,
// or a hash of what else it holds.
func certificates(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sums []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		sums = append(sums, fmt.Sprintf("%x %s", sha256.Sum256(cert.Raw), cert.Subject))
	}
	if len(sums) == 0 {
		return fmt.Sprintf("%x", sha256.Sum256(data))
	}
	slices.Sort(sums)
	return strings.Join(sums, "\n")
}

// javaEntries returns the certificates that "keytool -list -rfc" prints, by
// alias.
func javaEntries(list string) map[string]string {
	entries := make(map[string]string)
	parts := regexp.MustCompile(`(?m)^Alias name: (.*)$`).FindAllStringSubmatchIndex(list, -1)
	for i, part := range parts {
		end := len(list)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		if block, _ := pem.Decode([]byte(list[part[1]:end])); block != nil {
			entries[list[part[2]:part[3]]] = fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
		}
	}
	return entries
}

// mustBe fails the test unless two readings are the same.
func (want systemStore) mustBe(t *testing.T, got systemStore) {
	t.Helper()
	paths := maps.Clone(want)
	maps.Copy(paths, got)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if got[path] != want[path] {
			t.Errorf("%s changed:\ngot  %.300s\nwant %.300s", path, got[path], want[path])
		}
	}
}
