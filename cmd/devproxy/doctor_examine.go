package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"devproxy/internal/config"
	"devproxy/internal/doctor"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

type storesFunc = func(ctx context.Context, state string, ca *issuer.CA) []trust.Status

// daysWarned is how long before its end the CA is warned about.
const daysWarned = 90

func (e *examination) add(check, subject string, v doctor.Verdict, commands ...string) {
	e.report.Checks = append(e.report.Checks, doctor.Check{Check: check, Subject: subject, Verdict: v, Commands: commands})
}

// examine fills the report. Its error is a mistake of the command line or the
// configuration, beyond which there is nothing to look at.
func (e *examination) examine(ctx context.Context, t *target) error {
	a := e.app
	src, err := a.newSource(nil)
	var cfg *config.Config
	if err == nil {
		cfg, err = src.load()
	}
	if err != nil {
		e.badConfig(err)
		return err
	}
	state, stateErr := a.stateDir()
	var caErr error = stateErr
	if stateErr == nil {
		e.seen.state = state
		e.seen.ca, caErr = issuer.Load(state)
	}

	routes := cfg.Routes
	if t != nil {
		if routes = t.routesOf(cfg.Routes); len(routes) == 0 || !e.ownPort(cfg, t.port) {
			return e.explainOther(ctx, t, len(routes) > 0)
		}
	}
	e.goodConfig(cfg)
	e.checkCA(cfg, caErr)

	hosts := sampleHosts(routes)
	e.findListeners(ctx, cfg)
	e.checkRoutes(ctx, hosts)
	e.checkPorts(ctx, cfg)
	e.checkCertificates()
	if e.seen.ca != nil {
		e.checkStores(ctx)
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.name
	}
	e.report.Checks = append(e.report.Checks, e.machine().Environment(ctx, names)...)
	e.checkBackends(ctx, routes, t != nil)
	e.report.Clients = e.machine().Clients(ctx, e.seen.routes)
	return nil
}

func (e *examination) badConfig(err error) {
	for _, m := range config.Errors(err) {
		e.add("config", m.Key, doctor.Verdict{State: doctor.Fail, Detail: m.Error(), Fix: m.Hint})
	}
	if len(config.Errors(err)) > 0 {
		return
	}
	fix := ""
	if h, ok := errors.AsType[*hintedError](err); ok {
		fix = h.hint
	}
	e.add("config", "devproxy.toml", doctor.Verdict{State: doctor.Fail, Detail: err.Error(), Fix: fix})
}

func (e *examination) goodConfig(cfg *config.Config) {
	from := "built-in, for there is no devproxy.toml"
	if cfg.File != "" {
		from = relative(cfg.File)
	}
	e.add("config", from, doctor.Verdict{State: doctor.OK, Detail: count(len(cfg.Routes), "route")})
	for _, w := range cfg.Warnings {
		e.add("config", w.Key, doctor.Verdict{State: doctor.Warn, Detail: w.Error(), Fix: w.Hint})
	}
}

// checkCA says whether there is a CA, how long it lasts and whether it may
// sign for every route.
func (e *examination) checkCA(cfg *config.Config, err error) {
	a := e.app
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.add("ca", e.seen.state, doctor.Verdict{State: doctor.Fail, Detail: "there is no CA yet", Fix: a.command("trust")})
		return
	case err != nil:
		v := doctor.Verdict{State: doctor.Fail, Detail: err.Error()}
		if h, ok := errors.AsType[*hintedError](a.caError(err)); ok {
			v.Fix = h.hint
		}
		file := "state folder"
		if e.seen.state != "" {
			file = issuer.Path(e.seen.state)
		}
		e.add("ca", file, v)
		return
	}
	ca := e.seen.ca
	e.add("ca", issuer.RootPath(e.seen.state), caAge(ca, time.Now(), a.command("ca rotate")))
	e.checkPassphrase()
	mistakes := config.Errors(checkPermitted(cfg, ca.Constraints(), a.permitHint(cfg, true)))
	for _, m := range mistakes {
		e.add("ca", m.Key, doctor.Verdict{State: doctor.Fail, Detail: m.Error(), Fix: m.Hint})
	}
	if len(mistakes) == 0 {
		e.add("ca", "constraints", doctor.Verdict{State: doctor.OK, Detail: "cover every route: " + constraintsText(ca.Constraints())})
	}
}

// checkPassphrase opens the key if that can be done without asking. If not, what
// would be proven by a handshake is proven by the chain to the root.
func (e *examination) checkPassphrase() {
	if !e.seen.ca.Locked() {
		return
	}
	v := doctor.Verdict{State: doctor.OK, Detail: "the key has a passphrase, which serve asks for"}
	open, tried, err := e.app.unlockUnasked(e.seen.ca)
	switch {
	case err != nil:
		v = doctor.Verdict{State: doctor.Fail, Detail: err.Error()}
		if h, ok := errors.AsType[*hintedError](err); ok {
			v.Fix = h.hint
		}
	case tried:
		e.seen.ca = open
		v.Detail = "the key has a passphrase, which " + e.app.passphraseFile() + " holds"
	}
	e.add("ca", issuer.Path(e.seen.state), v)
}

// caAge judges how long the CA lasts.
func caAge(ca *issuer.CA, now time.Time, rotate string) doctor.Verdict {
	end := ca.Root().NotAfter
	if ca.Intermediate().NotAfter.Before(end) {
		end = ca.Intermediate().NotAfter
	}
	left := daysLeft(end, now)
	v := doctor.Verdict{State: doctor.OK, Detail: fmt.Sprintf("valid until %s, %s left", end.Format(time.DateOnly), count(left, "day"))}
	switch {
	case !now.Before(end):
		v = doctor.Verdict{State: doctor.Fail, Detail: "expired on " + end.Format(time.DateOnly), Fix: rotate}
	case left < daysWarned:
		v.State, v.Fix = doctor.Warn, rotate
	}
	return v
}

// checkStores reports what each trust store says.
func (e *examination) checkStores(ctx context.Context) {
	found := e.stores(ctx, e.seen.state, e.seen.ca)
	if len(found) == 0 {
		e.add("store", "any", doctor.Verdict{State: doctor.Unknown, Detail: "no trust store found on this machine", Fix: e.app.command("ca path")})
	}
	for _, s := range found {
		v := doctor.Verdict{State: doctor.Unknown, Detail: s.Detail, Fix: s.Fix}
		words := ""
		switch s.State {
		case trust.Trusted:
			v.State, words = doctor.OK, "trusts the root"
		case trust.NotTrusted:
			v.State, words = doctor.Fail, "does not trust the root"
			v.Fix = orDefault(v.Fix, e.app.command("trust"))
		}
		e.seen.stores = append(e.seen.stores, doctor.Store{Name: s.Store, Location: s.Location, Verdict: v})
		v.Detail = orDefault(v.Detail, words)
		commands := make([]string, len(s.Commands))
		for i, c := range s.Commands {
			commands[i] = c.String()
		}
		subject := s.Store
		if s.Location != "" {
			subject += " " + s.Location
		}
		e.add("store", subject, v, commands...)
	}
}

// A sampleHost is a name that routes answer for: for a wildcard, one below it.
type sampleHost struct {
	name string // normalised
	wild bool
}

// sampleHosts returns a name for each host of routes, once.
func sampleHosts(routes []config.Route) []sampleHost {
	var hosts []sampleHost
	for _, r := range routes {
		h := sampleHost{name: strings.Replace(r.Host, "*", "any", 1), wild: strings.HasPrefix(r.Host, "*.")}
		if slices.ContainsFunc(hosts, func(other sampleHost) bool { return other.name == h.name }) {
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// ownPort reports whether devproxy may listen on port; 0 is whichever it does.
func (e *examination) ownPort(cfg *config.Config, port uint16) bool {
	if port == 0 {
		return true
	}
	on := func(addr netip.AddrPort) bool { return addr.Port() == port }
	if cfg.Listen != nil {
		return slices.ContainsFunc(cfg.Listen, on)
	}
	return slices.ContainsFunc(slices.Concat(e.usual...), on)
}
