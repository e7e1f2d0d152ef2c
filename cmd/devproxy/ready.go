package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"devproxy/internal/config"
	"devproxy/internal/elevate"
	"devproxy/internal/issuer"
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
	wg.Go(func() { stores = a.trustStatus(ctx, s.state, s.ca) })
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
	a.printf("\n%s serves %s\n\n", paint(a.ui.outColor, bold, "devproxy"), from)
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
	if warning := a.expiryWarning(s.ca, time.Now()); warning != "" {
		a.printf("  note  %s\n", warning)
	}
	if s.cfg.KeyLog != "" {
		a.printf("  note  tls.keylog is set: whoever reads %s can read all traffic, cookies and passwords included\n", relative(s.cfg.KeyLog))
	}
	for _, note := range s.open.notes {
		a.printf("  note  %s\n", note)
	}
	if hint := a.dueHint(stores, found, s.source.args); hint != "" {
		a.printf("  next  %s\n", hint)
	}
	a.printf("\n")
}

// dueHint returns the first thing that stands between the person and a
// padlock, or "".
func (a *app) dueHint(stores []trust.Status, routes []inspected, extra []string) string {
	for _, s := range stores {
		// What has a way out of its own is not mended by another trust.
		if s.State != trust.Trusted && s.Fix == "" {
			return "make browsers and tools accept these URLs: " + a.command("trust")
		}
	}
	for _, r := range routes {
		if r.lookupErr != nil {
			words := elevate.Command(append([]string{"hosts", "sync"}, extra...)).String()
			return fmt.Sprintf("make %s lead to this machine: %s", r.host, a.command(words))
		}
	}
	for _, r := range routes {
		if r.backendErr != nil {
			return fmt.Sprintf("start the app behind %s: nothing listens at %s", r.key, r.target)
		}
	}
	for _, s := range stores {
		if s.State != trust.Trusted {
			return s.Store + ": " + s.Fix
		}
	}
	return ""
}

// routeRow shows a route that is served. It never shows a URL as good that did
// not answer, or that leads elsewhere.
func (a *app) routeRow(r inspected) []cell {
	state := a.ui.mark(true, "up")
	switch {
	case r.servedErr != nil:
		state = cell{"not answering: " + r.servedErr.Error(), red}
	case errors.Is(r.lookupErr, errElsewhere):
		state = cell{r.lookupErr.Error(), red}
	case r.backendErr != nil:
		state = a.ui.mark(false, "down")
	}
	return []cell{{r.url, bold}, {r.target, dim}, state}
}
