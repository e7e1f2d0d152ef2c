package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"devproxy/internal/hostname"
)

var nowhere = Backend{Handler: http.NotFoundHandler(), Name: "nowhere"}

// tableOf returns a snapshot with a route for each "host/path".
func tableOf(t testing.TB, keys ...string) *snapshot {
	t.Helper()
	var routes []Route
	for _, key := range keys {
		host, path, _ := strings.Cut(key, "/")
		routes = append(routes, Route{Host: host, Path: "/" + path, Backend: nowhere})
	}
	table, err := NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	return table.current.Load()
}

func key(r *Route) string {
	if r == nil {
		return ""
	}
	return r.Host + r.Path
}

var lookupTable = []string{
	"shop.localhost/", "shop.localhost/api", "shop.localhost/api/v2", "shop.localhost/a%2Fb",
	"*.shop.localhost/", "*.eu.shop.localhost/", "*.eu.shop.localhost/api",
	"one.eu.shop.localhost/only", "docs.test/guide",
}

var lookupTests = []struct{ host, path, want string }{
	{"shop.localhost", "/", "shop.localhost/"},
	{"shop.localhost", "/x", "shop.localhost/"},
	{"shop.localhost", "*", "shop.localhost/"},
	{"shop.localhost", "/api", "shop.localhost/api"},
	{"shop.localhost", "/api/", "shop.localhost/api"},
	{"shop.localhost", "/api/x/y", "shop.localhost/api"},
	{"shop.localhost", "/apis", "shop.localhost/"},
	{"shop.localhost", "/api.json", "shop.localhost/"},
	{"shop.localhost", "/api/v2", "shop.localhost/api/v2"},
	{"shop.localhost", "/api/v2/x", "shop.localhost/api/v2"},
	{"shop.localhost", "/api/v22", "shop.localhost/api"},
	{"shop.localhost", "/api/v", "shop.localhost/api"},
	{"shop.localhost", "//api", "shop.localhost/"},
	{"shop.localhost", "/x/api", "shop.localhost/"},
	{"shop.localhost", "/%61pi", "shop.localhost/"},
	{"shop.localhost", "/api%2Fv2", "shop.localhost/"},
	{"shop.localhost", "/API", "shop.localhost/"},
	{"shop.localhost", "/a%2Fb/c", "shop.localhost/a%2Fb"},
	{"shop.localhost", "/a/b/c", "shop.localhost/"},
	{"www.shop.localhost", "/api", "*.shop.localhost/"},
	{"a.b.c.shop.localhost", "/", "*.shop.localhost/"},
	{"eu.shop.localhost", "/", "*.shop.localhost/"},
	{"x.eu.shop.localhost", "/", "*.eu.shop.localhost/"},
	{"x.y.eu.shop.localhost", "/api/1", "*.eu.shop.localhost/api"},
	{"one.eu.shop.localhost", "/only", "one.eu.shop.localhost/only"},
	{"one.eu.shop.localhost", "/", ""}, // the host decides first; no fall-through
	{"docs.test", "/", ""},
	{"docs.test", "/guide/1", "docs.test/guide"},
	{"myshop.localhost", "/", ""},
	{"localhost", "/", ""},
	{"", "/", ""},
	{"192.0.2.1", "/", ""},
}

// lookup returns the route for a normalised name and an escaped path, or nil.
func (s *snapshot) lookup(name, path string) *Route { return s.host(name).route(path) }

func TestLookup(t *testing.T) {
	s := tableOf(t, lookupTable...)
	for _, test := range lookupTests {
		if got := key(s.lookup(test.host, test.path)); got != test.want {
			t.Errorf("lookup(%q, %q): got %q, want %q", test.host, test.path, got, test.want)
		}
	}
}

// naive is the definition of lookup: try all routes.
func naive(s *snapshot, host, path string) *Route {
	bestHost := ""
	for _, r := range s.routes {
		base, wild := strings.CutPrefix(r.Host, "*")
		switch {
		case r.Host == host:
			bestHost = r.Host
		case bestHost != host && wild && strings.HasSuffix(host, base) && len(host) > len(base) && len(r.Host) > len(bestHost):
			bestHost = r.Host
		}
	}
	var best *Route
	for _, r := range s.routes {
		covers := r.Path == "/" || path == r.Path || strings.HasPrefix(path, r.Path+"/")
		if r.Host == bestHost && covers && (best == nil || len(r.Path) > len(best.Path)) {
			best = r
		}
	}
	return best
}

func FuzzLookup(f *testing.F) {
	for _, test := range lookupTests {
		f.Add(strings.Join(lookupTable, " "), test.host, test.path)
	}
	f.Add("*.a/ *.a.a/ a/ a.a/a a.a/aa", "a.a.a", "/a/aa//a")
	f.Fuzz(func(t *testing.T, keys, host, path string) {
		table, err := NewTable(nil)
		if err != nil {
			t.Fatal(err)
		}
		var routes []Route
		for key := range strings.FieldsSeq(keys) {
			host, path, _ := strings.Cut(key, "/")
			route := Route{Host: host, Path: "/" + path, Backend: nowhere}
			if table.Replace(append(routes, route)) == nil {
				routes = append(routes, route)
			}
		}
		if err := table.Replace(routes); err != nil {
			t.Fatalf("routes that were accepted one by one are refused: %v", err)
		}
		if normal, err := hostname.Normalize(host); err != nil || normal != host {
			return
		}
		s := table.current.Load()
		got := s.lookup(host, path)
		if want := naive(s, host, path); got != want {
			t.Errorf("lookup(%q, %q) in %v: got %q, want %q", host, path, routes, key(got), key(want))
		}
		if got != nil && !table.Covers(host) {
			t.Errorf("Covers(%q) is false, but a route has it", host)
		}
	})
}

func TestCovers(t *testing.T) {
	table, err := NewTable([]Route{
		{Host: "shop.localhost", Path: "/", Backend: nowhere},
		{Host: "a.b.test", Path: "/api", Backend: nowhere},
		{Host: "*.tenant.example.dev", Path: "/", Backend: nowhere},
		{Host: "intranet", Path: "/", Backend: nowhere},
	})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"shop.localhost":           true,
		"shp.localhost":            true,
		"www.shop.localhost":       true,
		"localhost":                false,
		"a.b.test":                 true,
		"x.b.test":                 true,
		"b.test":                   false,
		"x.test":                   false,
		"x.tenant.example.dev":     true,
		"x.y.tenant.example.dev":   true,
		"tenant.example.dev":       true,
		"other.example.dev":        false,
		"example.dev":              false,
		"intranet":                 true,
		"other":                    false,
		"bank.example":             false,
		"shop.localhost.evil.test": false,
	} {
		if got := table.Covers(host); got != want {
			t.Errorf("Covers(%q): got %t, want %t", host, got, want)
		}
	}
}

func TestReplaceRefuses(t *testing.T) {
	table, err := NewTable([]Route{{Host: "app.localhost", Path: "/", Backend: nowhere}})
	if err != nil {
		t.Fatal(err)
	}
	target := func(s string) Backend {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return Backend{URL: u, Name: s}
	}
	for name, routes := range map[string][]Route{
		"same host":          {{Host: "a.test", Path: "/", Backend: nowhere}, {Host: "a.test", Path: "/", Backend: nowhere}},
		"same path":          {{Host: "a.test", Path: "/x", Backend: nowhere}, {Host: "a.test", Path: "/x", Backend: nowhere}},
		"same wildcard":      {{Host: "*.a.test", Path: "/", Backend: nowhere}, {Host: "*.a.test", Path: "/", Backend: nowhere}},
		"upper case":         {{Host: "A.test", Path: "/", Backend: nowhere}},
		"final dot":          {{Host: "a.test.", Path: "/", Backend: nowhere}},
		"unicode":            {{Host: "bücher.test", Path: "/", Backend: nowhere}},
		"no host":            {{Host: "", Path: "/", Backend: nowhere}},
		"bare wildcard":      {{Host: "*", Path: "/", Backend: nowhere}},
		"empty base":         {{Host: "*.", Path: "/", Backend: nowhere}},
		"inner wildcard":     {{Host: "a.*.test", Path: "/", Backend: nowhere}},
		"IP address":         {{Host: "127.0.0.1", Path: "/", Backend: nowhere}},
		"no path":            {{Host: "a.test", Path: "", Backend: nowhere}},
		"relative path":      {{Host: "a.test", Path: "x", Backend: nowhere}},
		"final slash":        {{Host: "a.test", Path: "/x/", Backend: nowhere}},
		"no backend":         {{Host: "a.test", Path: "/", Backend: Backend{}}},
		"two backends":       {{Host: "a.test", Path: "/", Backend: Backend{URL: &url.URL{Scheme: "http", Host: "a:1"}, Handler: http.NotFoundHandler()}}},
		"unsupported scheme": {{Host: "a.test", Path: "/", Backend: target("ftp://a:1")}},
		"no port":            {{Host: "a.test", Path: "/", Backend: target("http://a")}},
		"port 0":             {{Host: "a.test", Path: "/", Backend: target("http://a:0")}},
		"port too large":     {{Host: "a.test", Path: "/", Backend: target("http://a:65536")}},
		"no backend host":    {{Host: "a.test", Path: "/", Backend: target("http://:1")}},
	} {
		if err := table.Replace(routes); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if got := key(table.current.Load().lookup("app.localhost", "/")); got != "app.localhost/" {
		t.Errorf("after refused tables: got route %q, want the old one", got)
	}
	if err := table.Replace(nil); err != nil || table.Covers("app.localhost") {
		t.Errorf("empty table: got error %v, old route %t", err, table.Covers("app.localhost"))
	}
}

func TestReplaceKeepsNoSlice(t *testing.T) {
	routes := []Route{{Host: "a.test", Path: "/", Backend: nowhere}}
	table, err := NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	routes[0].Host = "b.test"
	if got := key(table.current.Load().lookup("a.test", "/")); got != "a.test/" {
		t.Errorf("got %q, want the route as it was given", got)
	}
}

// A path of slashes must not make the lookup quadratic.
func TestLookupOfHugePath(t *testing.T) {
	keys := []string{"a.test/"}
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("a.test/api/v%d", i))
	}
	s := tableOf(t, keys...)
	path := strings.Repeat("/", 10<<20)
	if got := key(s.lookup("a.test", path)); got != "a.test/" {
		t.Errorf("got %q", got)
	}
}

func manyRoutes(t testing.TB, n int) *snapshot {
	keys := make([]string, 0, n)
	for i := range n / 2 {
		keys = append(keys, fmt.Sprintf("app%d.localhost/", i), fmt.Sprintf("app%d.localhost/api", i))
	}
	return tableOf(t, append(keys, "*.tenant.localhost/")...)
}

func TestLookupDoesNotAllocate(t *testing.T) {
	for _, n := range []int{10, 10_000} {
		s := manyRoutes(t, n)
		for _, target := range [][2]string{
			{"app1.localhost", "/"}, {"app1.localhost", "/api/users/7"}, {"a.b.tenant.localhost", "/x/y"}, {"none.test", "/"},
		} {
			if got := testing.AllocsPerRun(100, func() { s.lookup(target[0], target[1]) }); got != 0 {
				t.Errorf("%d routes, lookup%q: got %v allocations, want 0", n, target, got)
			}
		}
		if got := testing.AllocsPerRun(100, func() { s.normalHost("app1.localhost:8443") }); got != 0 {
			t.Errorf("normalHost: got %v allocations, want 0", got)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		s := manyRoutes(b, n)
		for _, test := range []struct{ name, host, path string }{
			{"exact", "app3.localhost", "/"},
			{"path", "app3.localhost", "/api/users/7"},
			{"wildcard", "a.b.tenant.localhost", "/"},
		} {
			b.Run(fmt.Sprintf("%s/%d", test.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.lookup(test.host, test.path)
				}
			})
		}
	}
}

func BenchmarkReplace(b *testing.B) {
	var routes []Route
	for i := range 10_000 {
		routes = append(routes, Route{Host: fmt.Sprintf("app%d.localhost", i), Path: "/", Backend: nowhere})
	}
	table, err := NewTable(nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := table.Replace(routes); err != nil {
			b.Fatal(err)
		}
	}
}
