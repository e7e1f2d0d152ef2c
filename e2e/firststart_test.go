package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// trustLimit is how long trust and untrust may take.
const trustLimit = 5 * time.Second

// timed runs trust or untrust, which must succeed in time.
func (h *home) timed(t *testing.T, args ...string) result {
	t.Helper()
	begin := time.Now()
	got := h.devproxy(t, args...).must(t, 0)
	took := time.Since(begin)
	t.Logf("devproxy %q took %v", args, took.Round(time.Millisecond))
	if took > trustLimit {
		t.Errorf("devproxy %q took %v, want at most %v", args, took, trustLimit)
	}
	return got
}

// TestBrowserFirstStart trusts once, before any browser was ever started and
// without certutil, and starts each twice.
func TestBrowserFirstStart(t *testing.T) {
	tool(t, "chromium")
	tool(t, "firefox-esr")
	withCertutil(t, false)
	h := newHome(t)
	p := startPage(t)
	s := start(t, h, usual+fmt.Sprintf("routes.\"page.localhost\" = %q", p.url))
	settle(t)
	clean := readMachine(t)

	got := h.timed(t, "trust")
	t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })
	for _, store := range []string{"System", "Java", "Chromium", "Firefox"} {
		mustList(t, got, "trusted", store)
	}
	trusted := readMachine(t, h)
	if again := h.timed(t, "trust"); strings.Contains(again.stderr, "root is needed") || strings.Contains(again.stdout, "created") {
		t.Errorf("a second trust has something to do: %s", again)
	}
	trusted.mustBe(t, readMachine(t, h))

	for _, time := range []string{"first", "second"} {
		browsers := startBrowsers(t, h)
		for _, b := range browsers {
			if problem := b.fetch(t, s.url("page.localhost", "/")); problem != "" {
				t.Errorf("%s's %s start: %s", b.name, time, problem)
			}
		}
		h.agree(t, time+" start", browsers, true)
		for _, b := range browsers {
			b.mustOpen(t, s, p)
		}
		stopBrowsers(t, browsers)
		// One that Firefox made for itself would be without our root.
		if got := h.databases(t, ".config/mozilla/firefox/*"); len(got) != 1 {
			t.Errorf("after the %s start Firefox has the profiles %q, want the one", time, got)
		}
	}

	h.timed(t, "untrust")
	clean.mustBe(t, readMachine(t))
	browsers := startBrowsers(t, h)
	h.agree(t, "after untrust", browsers, false)
	for _, b := range browsers {
		b.mustRefuse(t, s, p)
	}
	stopBrowsers(t, browsers)
}

// TestCustomProfile keeps Firefox's profile outside its folder, as "Choose
// Folder" in its profile manager does.
func TestCustomProfile(t *testing.T) {
	firefox := tool(t, "firefox-esr")
	h := newHome(t)
	profile := h.makeDir(t, "elsewhere", "my profile")
	if err := os.MkdirAll(filepath.Join(h.dir, ".mozilla/firefox"), 0o700); err != nil {
		t.Fatal(err)
	}
	list := "[Profile0]\nName=mine\nIsRelative=0\nPath=" + profile + "\nDefault=1\n"
	h.put(t, filepath.Join(h.dir, ".mozilla/firefox/profiles.ini"), list, 0o600)
	// Otherwise Firefox makes another one for its first start.
	h.run(t, firefox, "--headless", "--profile", profile, "--screenshot", filepath.Join(h.dir, "tmp/picture.png"), "about:blank").must(t, 0)

	p := startPage(t)
	s := start(t, h, usual+fmt.Sprintf("routes.\"page.localhost\" = %q", p.url))
	mustList(t, h.devproxy(t, "trust", "--user").must(t, 0), "trusted", "Firefox")
	if got := h.nicknames(t, profile); len(got) != 1 {
		t.Errorf("%s holds %q, want one root of devproxy", profile, got)
	}
	b := startBrowser(t, h, "firefox-esr")
	b.awake(t)
	b.mustOpen(t, s, p)
	h.agree(t, "trust", []*browser{b}, true)
	b.stop(t)
	h.devproxy(t, "untrust", "--user").must(t, 0)
	if got := h.nicknames(t, profile); len(got) != 0 {
		t.Errorf("%s still holds %q", profile, got)
	}
}
