package main

import (
	"path/filepath"
	"testing"

	"devproxy/internal/config"
	"devproxy/internal/proxy"
)

// All routes of a host share what it asks of clients, and follow another CA.
func TestClientsOfRoutes(t *testing.T) {
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "devproxy.toml"), []byte(`[routes]
"a.localhost/api" = 1
"open.localhost" = 2
[routes."a.localhost"]
to = 3
client_auth = "require"
[routes."*.b.localhost"]
to = "unix:x.sock"
client_auth = "request"
`))
	if err != nil {
		t.Fatal(err)
	}
	b := newBackends()
	found := map[string]*proxy.ClientAuth{}
	for _, r := range b.routes(cfg) {
		if other, ok := found[r.Host]; ok && other != r.Clients {
			t.Errorf("%s%s asks for other certificates than the rest of its host", r.Host, r.Path)
		}
		found[r.Host] = r.Clients
	}
	if c := found["a.localhost"]; c == nil || !c.Require || c.CA != "" {
		t.Errorf("a.localhost: got %+v, want that it insists on ours", c)
	}
	if c := found["*.b.localhost"]; c == nil || c.Require {
		t.Errorf("*.b.localhost: got %+v, want that it asks", c)
	}
	if c := found["open.localhost"]; c != nil {
		t.Errorf("open.localhost: got %+v, want nothing", c)
	}
	next := new(proxy.Anchors)
	b.anchors.Store(next)
	if got := found["a.localhost"].Anchors(); got != next {
		t.Error("another CA is not followed")
	}
	for _, r := range cfg.Routes {
		want := map[string]string{
			"a.localhost": "http://localhost:3 (client certificates only)", "a.localhost/api": "http://localhost:1 (client certificates only)",
			"open.localhost": "http://localhost:2", "*.b.localhost": r.TargetText() + " (asks for client certificates)",
		}[r.Key()]
		if got := shownTarget(r); got != want {
			t.Errorf("%s: shown as %q, want %q", r.Key(), got, want)
		}
	}
}
