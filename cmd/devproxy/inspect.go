package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"devproxy/internal/config"
	"devproxy/internal/hostname"
)

// inspected is a route and what was found out about it a moment ago.
type inspected struct {
	key        string // as the file writes it
	host       string // readable
	url        string
	target     string
	lookupErr  error // nil: the system or, for *.localhost, browsers find the host
	servedErr  error // nil: the URL answers
	backendErr error // nil: the backend is up
}

// inspect looks at routes side by side: whether devproxy serves the host, as
// served says, and whether the backend takes connections.
func (a *app) inspect(ctx context.Context, routes []config.Route, port uint16, served func(ctx context.Context, host string) error) []inspected {
	const atOnce = 16
	slots := make(chan struct{}, atOnce)
	found := make([]inspected, len(routes))
	var wg sync.WaitGroup
	for i, r := range routes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			found[i] = inspected{
				key:        r.Key(),
				host:       hostname.Display(r.Host),
				url:        routeURL(r, port),
				target:     shownTarget(r),
				servedErr:  served(ctx, r.Host),
				lookupErr:  lookup(ctx, r.Host),
				backendErr: a.backends.probe(ctx, r),
			}
		})
	}
	wg.Wait()
	return found
}

// shownTarget is the target of a route, and what people should not overlook.
func shownTarget(r config.Route) string {
	var notes []string
	if r.Insecure {
		notes = append(notes, "insecure")
	}
	switch r.ClientAuth {
	case "request":
		notes = append(notes, "asks for client certificates")
	case "require":
		notes = append(notes, "client certificates only")
	}
	if len(notes) == 0 {
		return r.TargetText()
	}
	return r.TargetText() + " (" + strings.Join(notes, ", ") + ")"
}

// errElsewhere is matched by the error for a host that is another machine's.
var errElsewhere = errors.New("leads to another machine")

// lookup asks the system where a host leads, which must be this machine.
// Browsers find *.localhost by themselves (clients.md §8).
func lookup(ctx context.Context, host string) error {
	if strings.HasPrefix(host, "*.") || hostname.Within(host, "localhost") {
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if !isLocal(addr.Unmap()) {
			return fmt.Errorf("%w: %s", errElsewhere, addr)
		}
	}
	return nil
}

// isLocal reports whether addr is loopback or one of this machine's own.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == addr
	})
}

// answering makes a handshake with addr for a host, which must verify against
// root: nobody else can do that.
func answering(addr netip.AddrPort, root *x509.Certificate) func(ctx context.Context, host string) error {
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return func(ctx context.Context, host string) error {
		dialer := &tls.Dialer{Config: &tls.Config{
			RootCAs:    pool,
			ServerName: strings.Replace(host, "*", "any", 1), // any name below will do
		}}
		conn, err := dialer.DialContext(ctx, "tcp", reachable(addr).String())
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// reachable returns where to dial a listener: one on all addresses is reached
// through loopback.
func reachable(addr netip.AddrPort) netip.AddrPort {
	switch ip := addr.Addr(); {
	case !ip.IsUnspecified():
		return addr
	case ip.Is4():
		return loopback(addr.Port())[0]
	default:
		return loopback(addr.Port())[1]
	}
}

// routeURL returns what to type into a browser, with the port unless it is
// the scheme's own; for a wildcard, which is no URL, the key of the route.
func routeURL(r config.Route, port uint16) string {
	if strings.HasPrefix(r.Host, "*.") {
		return r.Key()
	}
	host := hostname.Display(r.Host)
	if port != httpsPort {
		host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return "https://" + host + strings.TrimSuffix(r.Path, "/")
}
