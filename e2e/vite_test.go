package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestVite edits the sources of a Vite project while its page is open in real
// browsers, by one name that leads to Vite and, below /report, to the test.
func TestVite(t *testing.T) {
	h := newHome(t)
	writeProject(t, h)
	vite := startVite(t, h)
	desk := startReports(t)
	routes := fmt.Sprintf("%s[routes]\n\"app.localhost\" = %d\n\"many.localhost\" = %[2]d\n\"shop.test\" = %[2]d\n", head, vitePort)
	for _, host := range []string{"app", "many"} {
		routes += fmt.Sprintf("\"%s.localhost/report\" = %q\n", host, desk.url)
	}
	s := start(t, h, routes)
	trustAll(t, h)
	browsers := startBrowsers(t, h)

	t.Run("many modules", func(t *testing.T) { manyModules(t, s, desk, browsers) })
	t.Run("edits", func(t *testing.T) { viteEdits(t, s, desk, browsers, vite, routes) })
	vite.stop()
	t.Run("another host", func(t *testing.T) { viteHosts(t, s) })
}

// viteEdits opens the page as a click does and changes what it is made of.
func viteEdits(t *testing.T, s *server, desk *reports, browsers []*browser, vite *viteServer, routes string) {
	opened := s.mark()
	first := make(map[string]viteReport)
	for _, b := range browsers {
		b.open(t, s.url("app.localhost", "/?"+b.name))
	}
	for _, b := range browsers {
		r := desk.wait(t, b.name, "the first page", func(r viteReport) bool { return r.Word == "first" && len(r.Sockets) > 0 })
		if r.mustBeWell(t); r.Protocol != "h2" {
			t.Errorf("%s: the page came over %q, want h2", b.name, r.Protocol)
		}
		if want := "wss" + strings.TrimPrefix(s.url("app.localhost", "/"), "https"); !slices.Equal(r.Sockets, []string{want}) {
			t.Errorf("%s: sockets %q, want %q", b.name, r.Sockets, want)
		}
		first[b.name] = r
	}
	// updated waits until every browser shows a change, in the same life of the
	// page as before.
	updated := func(what string, ok func(viteReport) bool) {
		t.Helper()
		began := time.Now()
		for _, b := range browsers {
			r := desk.wait(t, b.name, what, ok)
			t.Logf("%s: %s after %v", b.name, what, r.came.Sub(began).Round(time.Millisecond))
			if r.Life != first[b.name].Life {
				t.Errorf("%s: %s came by a reload of the page", b.name, what)
			}
			if r.mustBeWell(t); r.Drops != 0 || len(r.Sockets) != 1 {
				t.Errorf("%s: %d sockets, %d closed; want the one of the start", b.name, len(r.Sockets), r.Drops)
			}
		}
	}

	edit(t, s.home, "src/word.js", "first", "second")
	updated("a module's edit", func(r viteReport) bool { return r.Word == "second" })
	edit(t, s.home, "src/style.css", "rgb(1, 1, 1)", "rgb(2, 2, 2)")
	updated("a style's edit", func(r viteReport) bool { return r.Color == "rgb(2, 2, 2)" })

	for n := range 20 {
		mark := s.mark()
		s.home.write(t, "devproxy.toml", fmt.Sprintf("%s\"other%d.localhost\" = \"builtin:hello\"\n", routes, n))
		s.waitLogAfter(t, mark, reloaded, nil)
	}
	edit(t, s.home, "src/word.js", "second", "third")
	updated("an edit after 20 reloads of routes", func(r viteReport) bool { return r.Word == "third" })
	if n := len(s.requests(opened, "app.localhost", isUpgrade)); n > 0 {
		t.Errorf("%d sockets of the page ended while it was open", n)
	}

	edit(t, s.home, "index.html", `"first"`, `"second"`)
	second := make(map[string]viteReport)
	for _, b := range browsers {
		r := desk.wait(t, b.name, "the page's edit", func(r viteReport) bool { return r.Edition == "second" && len(r.Sockets) > 0 })
		if r.mustBeWell(t); r.Life == first[b.name].Life {
			t.Errorf("%s: the page was not loaded again", b.name)
		}
		second[b.name] = r
	}
	s.mustHaveServed(t, opened, "app.localhost")

	vite.stop()
	edit(t, s.home, "src/word.js", "third", "fourth")
	began := time.Now()
	vite = startVite(t, s.home)
	defer vite.stop()
	for _, b := range browsers {
		r := desk.wait(t, b.name, "the page of another Vite", func(r viteReport) bool { return r.Word == "fourth" && len(r.Sockets) > 0 })
		t.Logf("%s: back %v after Vite was started again", b.name, r.came.Sub(began).Round(time.Millisecond))
		if r.mustBeWell(t); r.Life == second[b.name].Life {
			t.Errorf("%s: the page was not loaded again", b.name)
		}
	}
	edit(t, s.home, "src/word.js", "fourth", "fifth")
	for _, b := range browsers {
		desk.wait(t, b.name, "an edit with another Vite", func(r viteReport) bool { return r.Word == "fifth" })
	}

	// Each page had one socket, and the first two of each browser's have ended.
	s.await(t, "log lines of the sockets", func() bool {
		return len(requests(s.lines[opened:], "app.localhost", isUpgrade)) >= 2*len(browsers)
	})
	for _, line := range s.requests(opened, "app.localhost", isUpgrade) {
		if line["protocol"] != "HTTP/1.1" || line["path"] != "/" {
			t.Errorf("a socket: %v over %v", line["path"], line["protocol"])
		}
	}
}

// How often each browser loads the page of many modules, and how many of them
// change meanwhile.
const (
	manyLoads  = 3
	manyEdited = 20
)

// manyModules loads a page of many modules in a frame, several times and while
// some of them are edited.
func manyModules(t *testing.T, s *server, desk *reports, browsers []*browser) {
	opened := s.mark()
	edition := 1
	editSome := func() {
		edition++
		for n := range manyEdited {
			writeModule(t, s.home, n*manyCount/manyEdited, edition)
		}
	}
	for load := range manyLoads {
		visitor := func(b *browser) string { return fmt.Sprintf("%s-%d", b.name, load) }
		began := time.Now()
		for _, b := range browsers {
			b.frame(t, s.url("many.localhost", "/many.html?"+visitor(b)))
		}
		editSome()
		for _, b := range browsers {
			r := desk.wait(t, visitor(b), "many modules", func(r viteReport) bool {
				return len(r.Modules) == manyCount && len(r.Sockets) > 0
			})
			t.Logf("%s: %d requests, %v", b.name, r.Loads, r.came.Sub(began).Round(time.Millisecond))
			if r.mustBeWell(t); r.Loads < manyCount {
				t.Errorf("%s: %d modules by %d requests", b.name, manyCount, r.Loads)
			}
		}
		// Of what changes while it loads a page may not hear: its socket is not
		// open yet. From here on it must.
		editSome()
		for _, b := range browsers {
			desk.wait(t, visitor(b), "edits of many modules", func(r viteReport) bool {
				fresh := slices.DeleteFunc(slices.Clone(r.Modules), func(got int) bool { return got != edition })
				return len(fresh) == manyEdited
			}).mustBeWell(t)
		}
	}
	s.mustHaveServed(t, opened, "many.localhost")
}

// viteHosts asks for a host that Vite does not know, whose refusal comes
// through as it is, and makes Vite know it.
func viteHosts(t *testing.T, s *server) {
	client := s.client(t)
	get := func() (int, string) {
		t.Helper()
		resp, err := client.Get(s.url("shop.test", "/"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	vite := startVite(t, s.home)
	const refusal = `Blocked request. This host ("shop.test") is not allowed.`
	if status, body := get(); status != http.StatusForbidden || !strings.Contains(body, refusal) {
		t.Errorf("got %d %q, want 403 with %q", status, body, refusal)
	}
	vite.stop()

	startVite(t, s.home, "__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS=.test")
	if status, body := get(); status != http.StatusOK || !strings.Contains(body, "/@vite/client") {
		t.Errorf("allowed: got %d %q, want the page", status, body)
	}
}
