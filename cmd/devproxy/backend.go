package main

import (
	"net/http"

	"devproxy/internal/config"
	"devproxy/internal/hello"
	"devproxy/internal/proxy"
)

// backends says where routes lead. Handlers in this process are made once.
type backends struct {
	builtin map[string]http.Handler // by the name behind "builtin:"; config knows the same
}

func newBackends() *backends {
	return &backends{builtin: map[string]http.Handler{"hello": hello.New()}}
}

func (b *backends) of(r config.Route) proxy.Backend {
	backend := proxy.Backend{Name: r.TargetText()}
	if r.Target.Scheme == "builtin" {
		backend.Handler = b.builtin[r.Target.Opaque]
	} else {
		backend.URL = r.Target
	}
	return backend
}

// routes turns what the file says into what the proxy serves.
func (b *backends) routes(cfg *config.Config) []proxy.Route {
	routes := make([]proxy.Route, len(cfg.Routes))
	for i, r := range cfg.Routes {
		routes[i] = proxy.Route{Host: r.Host, Path: r.Path, Backend: b.of(r)}
	}
	return routes
}
