package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"devproxy/internal/config"
	"devproxy/internal/hostname"
	"devproxy/internal/issuer"
	"devproxy/internal/proxy"
	"devproxy/internal/trust"
)

const (
	checkTime = 2 * time.Second // for everything the table shows
	tableRows = 30              // more do not fit a screen; "routes" lists all
)

// started is a server that listens.
type started struct {
	state   string
	source  *source
	cfg     *config.Config
	ca      *issuer.CA
	created bool // the CA, by this start
	open    *listeners
}

// announce prints the table once the server answers: what is served where,
// whether the root is trusted, and the one hint that is due.
func (a *app) announce(ctx context.Context, s started) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var stores []trust.Status
	var wg sync.WaitGroup
	wg.Go(func() { stores = a.trustStatus(ctx, s.state, s.ca.Root()) })
	shown := s.cfg.Routes[:min(len(s.cfg.Routes), tableRows)]
	found := a.inspect(ctx, shown, s.open.port(), answering(addrPort(s.open.https[0]), s.ca.Root()))
	wg.Wait()

	from := "its built-in page, for there is no devproxy.toml yet"
	switch {
	case s.cfg.File != "":
		from = relative(s.cfg.File)
	case len(s.source.extra) > 0:
		from = "the routes of the command line"
	}
	a.printf("\n%s serves %s\n\n", paint(a.ui.color, bold, "devproxy"), from)
	rows := make([][]cell, len(found))
	for i, f := range found {
		rows[i] = a.routeRow(f)
	}
	a.ui.table(rows)
	if more := len(s.cfg.Routes) - len(shown); more > 0 {
		a.printf("  and %d more: %s\n", more, a.command("routes"))
	}
	if len(s.cfg.Routes) == 0 {
		a.printf("  no routes yet: add one to the file, such as \"shop.localhost\" = 5000\n")
	}
	a.printf("\n  root  %s\n", trustSummary(stores))
	if s.created {
		a.printf("        created now; signs for %s; nothing else\n", constraintsText(s.ca.Constraints()))
	}
	for _, note := range s.open.notes {
		a.printf("  note  %s\n", note)
	}
	if hint := a.dueHint(stores, found); hint != "" {
		a.printf("  next  %s\n", hint)
	}
	a.printf("\n")
}

// dueHint returns the first thing that stands between the person and a
// padlock, or "".
func (a *app) dueHint(stores []trust.Status, routes []inspected) string {
	if !allTrusted(stores) {
		return "make browsers and tools accept these URLs: " + a.command("trust")
	}
	for _, r := range routes {
		if r.lookupErr != nil {
			return fmt.Sprintf("make %s lead to this machine: %s", r.host, a.command("hosts sync"))
		}
	}
	for _, r := range routes {
		if r.backendErr != nil {
			return fmt.Sprintf("start the app behind %s: nothing listens at %s", r.key, r.target)
		}
	}
	return ""
}

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
				target:     r.Target.String(),
				servedErr:  served(ctx, r.Host),
				lookupErr:  lookup(ctx, r.Host),
				backendErr: proxy.Probe(ctx, a.backends.of(r)),
			}
		})
	}
	wg.Wait()
	return found
}

// lookup asks the system for a host that browsers do not find by themselves,
// as they do *.localhost (clients.md §8).
func lookup(ctx context.Context, host string) error {
	if strings.HasPrefix(host, "*.") || hostname.Within(host, "localhost") {
		return nil
	}
	_, err := net.DefaultResolver.LookupHost(ctx, host)
	return err
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

func (a *app) routeRow(r inspected) []cell {
	url := cell{r.url, bold}
	if r.servedErr != nil {
		// Never show a URL as good that did not answer.
		return []cell{url, {r.target, dim}, {"not answering: " + r.servedErr.Error(), red}}
	}
	if r.backendErr != nil {
		return []cell{url, {r.target, dim}, a.ui.mark(false, "down")}
	}
	return []cell{url, {r.target, dim}, a.ui.mark(true, "up")}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
