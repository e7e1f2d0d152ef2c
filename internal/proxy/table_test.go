package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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

// manyRoutes is a table of n routes: those of apps, each with a path of its own,
// and as many wildcards.
func manyRoutes(t testing.TB, n int) *snapshot {
	keys := make([]string, 0, n)
	for i := range n / 4 {
		keys = append(keys,
			fmt.Sprintf("app%d.localhost/", i), fmt.Sprintf("app%d.localhost/api", i),
			fmt.Sprintf("*.tenant%d.localhost/", i), fmt.Sprintf("*.tenant%d.localhost/api", i))
	}
	return tableOf(t, keys...)
}

var lookups = []struct{ name, host, path string }{
	{"exact", "app1.localhost", "/"},
	{"path", "app1.localhost", "/api/users/7"},
	{"wildcard", "a.b.tenant1.localhost", "/x/y"},
	{"none", "none.test", "/"},
}

func TestLookupDoesNotAllocate(t *testing.T) {
	for _, n := range []int{10, 10_000} {
		s := manyRoutes(t, n)
		for _, test := range lookups {
			if got := testing.AllocsPerRun(100, func() { s.lookup(test.host, test.path) }); got != 0 {
				t.Errorf("%d routes, %s: got %v allocations, want 0", n, test.name, got)
			}
		}
		if got := testing.AllocsPerRun(100, func() { s.normalHost("app1.localhost:8443") }); got != 0 {
			t.Errorf("normalHost: got %v allocations, want 0", got)
		}
		table := new(Table)
		table.current.Store(s)
		if got := testing.AllocsPerRun(100, func() { table.Covers("shp.localhost") }); got != 0 {
			t.Errorf("Covers: got %v allocations, want 0", got)
		}
	}
}

// A thousand times the routes cost a lookup a few cache misses, not a thousand
// times the time.
func TestLookupIndependentOfRoutes(t *testing.T) {
	fastest := func(s *snapshot, host, path string) time.Duration {
		best := time.Hour
		for range 10 {
			start := time.Now()
			for range 2000 {
				s.lookup(host, path)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	few, many := manyRoutes(t, 12), manyRoutes(t, 12_000)
	for _, test := range lookups {
		a, b := fastest(few, test.host, test.path), fastest(many, test.host, test.path)
		if b > 20*a {
			t.Errorf("%s: got %v for 2000 lookups among 12000 routes, %v among 12", test.name, b, a)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		s := manyRoutes(b, n)
		for _, test := range lookups {
			b.Run(fmt.Sprintf("%s/%d", test.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.lookup(test.host, test.path)
				}
			})
		}
	}
}

func BenchmarkNearest(b *testing.B) {
	s := manyRoutes(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		s.nearest("ap1234.localhost")
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
