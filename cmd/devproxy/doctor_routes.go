package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"devproxy/internal/config"
	"devproxy/internal/doctor"
	"devproxy/internal/hostname"
)

const (
	examinedAtOnce = 8                // names and backends looked at side by side
	namesTime      = 10 * time.Second // for all names: a name server may be silent
)

// side runs f for each index below n, some side by side.
func side(n int, f func(i int)) {
	slots := make(chan struct{}, examinedAtOnce)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}

// A lookedUp is a name, and where the system finds it in each family.
type lookedUp struct {
	host   sampleHost
	v4, v6 []netip.Addr
	errs   [2]error
	goOwn  bool
	served []doctor.Verdict // by listener; of those that are ours
}

// checkRoutes looks where names lead and what is served for them, and reports
// the former.
func (e *examination) checkRoutes(ctx context.Context, hosts []sampleHost) {
	found := make([]lookedUp, len(hosts))
	names, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	side(len(hosts), func(i int) {
		f := lookedUp{host: hosts[i], served: make([]doctor.Verdict, len(e.seen.listeners))}
		f.v4, f.errs[0] = e.resolver.Resolve(names, "ip4", f.host.name)
		f.v6, f.errs[1] = e.resolver.Resolve(names, "ip6", f.host.name)
		f.goOwn = e.goFinds(names, f.host.name)
		for j, l := range e.seen.listeners {
			if l.ours {
				f.served[j] = e.serveFor(ctx, l, f.host.name)
			}
		}
		found[i] = f
	})
	for _, f := range found {
		for j, l := range e.seen.listeners {
			if l.ours {
				l.served[f.host.name] = f.served[j]
			}
		}
		r := e.route(f)
		e.seen.routes = append(e.seen.routes, r)
		e.reportNames(f, r)
	}
}

// route is what clients meet at a name.
func (e *examination) route(f lookedUp) doctor.Route {
	r := doctor.Route{
		Host:    f.host.name,
		GoFinds: f.goOwn,
		Served:  e.servedAnywhere(f),
		Names:   e.namesFix(f.host),
	}
	for _, addr := range slices.Concat(f.v4, f.v6) {
		r.Addresses = append(r.Addresses, doctor.Address{Addr: addr, Here: isLocal(addr), Answers: e.answersAt(addr, f.host.name)})
	}
	if len(r.Addresses) == 0 {
		for _, err := range f.errs {
			if err != nil {
				r.LookupErr = err
			}
		}
	}
	return r
}

// namesFix is what makes the system find a name.
func (e *examination) namesFix(h sampleHost) string {
	sync := e.app.command("hosts sync")
	if h.wild {
		return "give the names that are used routes of their own, since a hosts file has no wildcards, then: " + sync
	}
	return sync
}

// answersAt reports whether devproxy serves a name, as it should, at addr.
func (e *examination) answersAt(addr netip.Addr, name string) bool {
	return slices.ContainsFunc(e.seen.listeners, func(l listening) bool {
		on := l.addr.Addr()
		return l.served[name].State == doctor.OK && (on == addr || on.IsUnspecified() && on.Is4() == addr.Is4())
	})
}

// servedAnywhere is ok if the name is served at one address at least, and
// wrongly at none.
func (e *examination) servedAnywhere(f lookedUp) doctor.Verdict {
	var v doctor.Verdict
	for j, l := range e.seen.listeners {
		if l.ours && (v.State == "" || f.served[j].State.Worse(v.State)) {
			v = f.served[j]
		}
	}
	if v.State == doctor.OK {
		return doctor.Verdict{State: doctor.OK}
	}
	if v.State == doctor.Warn {
		return doctor.Verdict{State: doctor.OK} // a warning about what is served, which clients accept
	}
	if v.State != "" {
		return v
	}
	for _, l := range e.seen.listeners {
		if !l.nobody && l.err == nil {
			return doctor.Verdict{State: doctor.Fail, Detail: fmt.Sprintf("%s is held by %s", l.addr, orDefault(l.holder, "another program")), Fix: "stop it, or choose another port in devproxy.toml"}
		}
	}
	for _, l := range e.seen.listeners {
		if l.err != nil {
			return doctor.Verdict{State: doctor.Unknown, Detail: "cannot tell whether devproxy runs: " + doctor.Reason(l.err)}
		}
	}
	return doctor.Verdict{State: doctor.Warn, Detail: "devproxy is not running", Fix: e.app.command("serve")}
}

// reportNames says where a name leads, per family.
func (e *examination) reportNames(f lookedUp, r doctor.Route) {
	const both = "listen on both families: remove listen from devproxy.toml, or name 127.0.0.1 and [::1] there"
	for i, family := range []struct {
		name  string
		addrs []netip.Addr
		other []netip.Addr
	}{{"IPv4", f.v4, f.v6}, {"IPv6", f.v6, f.v4}} {
		subject := hostname.Display(f.host.name) + " " + family.name
		v := doctor.Verdict{State: doctor.OK, Detail: joinAddrs(family.addrs)}
		switch {
		case f.errs[i] != nil:
			v = doctor.Verdict{State: doctor.Unknown, Detail: doctor.Reason(f.errs[i]), Fix: r.Names}
		case len(family.addrs) == 0 && len(family.other) > 0:
			v.Detail = "no address; the other family will do"
		case len(family.addrs) == 0 && hostname.Within(f.host.name, "localhost"):
			v = doctor.Verdict{
				State:  doctor.Warn,
				Detail: "not found by the system: browsers, curl and git know *.localhost by themselves, all other clients fail",
				Fix:    r.Names,
			}
		case len(family.addrs) == 0:
			v = doctor.Verdict{State: doctor.Warn, Detail: "not found by the system: every client fails", Fix: r.Names}
		}
		for _, addr := range family.addrs {
			switch {
			case !isLocal(addr):
				v = doctor.Verdict{State: doctor.Fail, Detail: "leads to another machine: " + addr.String(), Fix: "take the name out of that hosts file or name server, then: " + r.Names}
			case e.running() && !e.answersAt(addr, f.host.name) && r.Served.State == doctor.OK && v.State == doctor.OK:
				v = doctor.Verdict{State: doctor.Warn, Detail: fmt.Sprintf("leads to %s, where devproxy does not listen: clients that try it first fail or wait", addr), Fix: both}
			}
		}
		e.add("resolve", subject, v)
	}
}

func joinAddrs(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

// checkBackends dials each backend and asks each app for a page; one on another
// machine only if its host was asked for by name, since the file may be a
// stranger's.
func (e *examination) checkBackends(ctx context.Context, routes []config.Route, byName bool) {
	if e.seen.ca != nil {
		e.app.backends.root.Store(e.seen.ca.Root())
	}
	type result struct{ dial, scheme doctor.Verdict }
	found := make([]result, len(routes))
	port := e.port()
	side(len(routes), func(i int) {
		r := routes[i]
		backend := e.app.backends.of(r)
		if err := e.app.backends.probe(ctx, r); err != nil {
			found[i].dial = doctor.Verdict{
				State:  doctor.Fail,
				Detail: doctor.Reason(err),
				Fix:    "start the app, or correct the target of the route",
			}
			return
		}
		found[i].dial = doctor.Verdict{State: doctor.OK, Detail: "is there"}
		if backend.Handler == nil {
			found[i].dial.Detail = "takes connections"
		}
		if backend.URL == nil || backend.URL.Scheme != "http" {
			return
		}
		host := strings.Replace(r.Host, "*", "any", 1)
		if !byName && !e.here(backend.URL.Hostname()) {
			found[i].scheme = doctor.Verdict{
				State:  doctor.Unknown,
				Detail: "not asked: not on this machine; name the host to ask",
				Fix:    e.app.command("doctor " + host),
			}
			return
		}
		if port != httpsPort {
			host = net.JoinHostPort(host, strconv.Itoa(int(port)))
		}
		app := doctor.App{Backend: backend.URL, Host: cmp.Or(sendHost(r), host), Path: r.Path, Port: strconv.Itoa(int(port))}
		if r.StripPrefix {
			app.Path = "/"
		}
		found[i].scheme = app.Scheme(ctx)
	})
	for i, r := range routes {
		e.add("backend", r.Key()+" → "+shownTarget(r), found[i].dial)
	}
	for i, r := range routes {
		if found[i].scheme.State != "" {
			e.add("scheme", r.Key(), found[i].scheme)
		}
	}
}

// onThisMachine reports whether a backend's host is this machine without
// asking a name server.
func onThisMachine(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return isLocal(addr.Unmap())
	}
	return strings.EqualFold(host, "localhost")
}
