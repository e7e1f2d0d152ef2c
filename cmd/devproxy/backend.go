package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"devproxy/internal/config"
	"devproxy/internal/hello"
	"devproxy/internal/proxy"
	"devproxy/internal/static"
)

// backends says where routes lead.
type backends struct {
	builtin map[string]http.Handler // by the name behind "builtin:"; config knows the same. Made once
	root    atomic.Pointer[x509.Certificate]
	anchors atomic.Pointer[proxy.Anchors] // of clients' certificates, where a route names no others
}

func newBackends() *backends {
	return &backends{builtin: map[string]http.Handler{"hello": hello.New()}}
}

func (b *backends) of(r config.Route) proxy.Backend {
	backend := proxy.Backend{Name: r.TargetText()}
	switch r.Target.Scheme {
	case "builtin":
		backend.Handler = b.builtin[r.Target.Opaque]
	case "dir":
		backend.Handler = static.New(r.Target.Path)
	case "https":
		backend.Insecure, backend.Roots = r.Insecure, b.roots
		if name := sendHost(r); r.HostHeader != "backend" && name != "" {
			backend.ServerName = hostOnly(name)
		}
		fallthrough
	default:
		backend.URL = r.Target
	}
	return backend
}

// roots are the anchors for https backends: the system's, and the root that
// devproxy serves with, once there is one.
func (b *backends) roots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if root := b.root.Load(); root != nil {
		pool.AddCert(root)
	}
	return pool
}

// sendHost returns the Host that a backend gets; "" is the browser's.
func sendHost(r config.Route) string {
	switch r.HostHeader {
	case "", "preserve":
		return ""
	case "backend":
	default:
		return r.HostHeader
	}
	if r.Target.Scheme == "unix" {
		return "localhost"
	}
	if port := r.Target.Port(); port == "80" && r.Target.Scheme != "https" || port == "443" && r.Target.Scheme == "https" {
		return strings.TrimSuffix(r.Target.Host, ":"+port)
	}
	return r.Target.Host
}

// hostOnly returns a host without its port.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// routes turns what the file says into what the proxy serves.
func (b *backends) routes(cfg *config.Config) []proxy.Route {
	routes := make([]proxy.Route, len(cfg.Routes))
	clients := b.clients(cfg)
	for i, r := range cfg.Routes {
		routes[i] = proxy.Route{Host: r.Host, Path: r.Path, Backend: b.of(r), Clients: clients[r.Host], Rules: proxy.Rules{
			StripPrefix: r.StripPrefix,
			SendHost:    sendHost(r),
			Hold:        r.Hold,
			KeepHSTS:    r.KeepHSTS,
			Request:     proxy.HeaderRules(r.RequestHeaders),
			Response:    proxy.HeaderRules(r.ResponseHeaders),
		}}
	}
	return routes
}

// probe reports whether what is behind a route is there: a server that takes
// connections, or a folder.
func (b *backends) probe(ctx context.Context, r config.Route) error {
	if r.Target.Scheme != "dir" {
		return proxy.Probe(ctx, b.of(r))
	}
	info, err := os.Stat(r.Target.Path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", r.Target.Path)
	}
	return err
}
