package main

import (
	"crypto/x509"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
	"devproxy/internal/proxy"
)

// use has backends be verified, and clients be recognised, by a CA.
func (b *backends) use(ca *issuer.CA) {
	b.root.Store(ca.Root())
	b.anchors.Store(proxy.NewAnchors([]*x509.Certificate{ca.Root()}, []*x509.Certificate{ca.Intermediate()}))
}

// clients says which client certificates hosts ask for, by host. All routes of
// one share what is asked.
func (b *backends) clients(cfg *config.Config) map[string]*proxy.ClientAuth {
	byHost := make(map[string]*proxy.ClientAuth)
	for _, r := range cfg.Routes {
		if r.ClientAuth == "none" || byHost[r.Host] != nil {
			continue
		}
		auth := &proxy.ClientAuth{Require: r.ClientAuth != "request", Anchors: b.anchors.Load}
		if r.ClientCA != "" {
			anchors := proxy.NewAnchors(r.ClientAnchors, nil)
			auth.Anchors, auth.CA = func() *proxy.Anchors { return anchors }, r.ClientCA
		}
		byHost[r.Host] = auth
	}
	return byHost
}

// clientHint says how to get a certificate for the clients of a host. Neither
// command needs the configuration.
func (a *app) clientHint(string) string {
	return a.self + " cert issue --client NAME --p12 && " + a.self + " trust --client NAME.p12"
}
