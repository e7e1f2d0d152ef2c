package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"devproxy/internal/config"
	"devproxy/internal/doctor"
)

// presentTime bounds one handshake with what listens on a port.
const presentTime = 5 * time.Second

// A listening is an address where devproxy should listen, and who does.
type listening struct {
	addr   netip.AddrPort
	nobody bool
	ours   bool   // a devproxy, of whichever CA
	err    error  // it could not be told
	holder string // whoever listens, as far as that can be seen

	// served is what is presented for each name.
	served map[string]doctor.Verdict
}

// usualListeners are where devproxy listens unless told otherwise, best first.
func usualListeners() [][]netip.AddrPort {
	usual := [][]netip.AddrPort{loopback(httpsPort), loopback(httpsPortUnprived)}
	if os.Geteuid() != 0 && !lowPortsAllowed() {
		slices.Reverse(usual)
	}
	return usual
}

// lowPortsAllowed reports whether everyone may listen on 443.
func lowPortsAllowed() bool {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return true
	}
	start, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return err == nil && start <= httpsPort
}

// findListeners looks who listens where the configuration says, or at the
// usual addresses: at those where a devproxy is found, else at the first.
func (e *examination) findListeners(ctx context.Context, cfg *config.Config) {
	places := e.usual
	if cfg.Listen != nil {
		places = [][]netip.AddrPort{cfg.Listen}
	}
	for i, addrs := range places {
		var found []listening
		for _, addr := range addrs {
			if cfg.Listen == nil && addr.Addr().Is6() && !hasAddress(addr.Addr()) {
				continue
			}
			found = append(found, e.identify(ctx, addr))
		}
		ours := slices.ContainsFunc(found, func(l listening) bool { return l.ours })
		if i == 0 || ours {
			e.seen.listeners = found
		}
		if ours {
			return
		}
	}
}

// hasAddress reports whether this machine has addr.
func hasAddress(addr netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == addr
	})
}

// identify asks whoever listens on addr for a certificate without naming a
// host: every devproxy has one for its address, whatever its routes.
func (e *examination) identify(ctx context.Context, addr netip.AddrPort) listening {
	l := listening{addr: addr, served: map[string]doctor.Verdict{}}
	if addr.Port() == 0 {
		l.err = errors.New("listen says port 0, which is another one at each start")
		return l
	}
	chain, err := present(ctx, reachable(addr).String(), "")
	switch {
	case isRefused(err):
		l.nobody = true
		return l
	case isTimeout(err):
		l.err = err
	}
	l.ours = doctor.Made(chain)
	if holder, err := e.holder(addr); err == nil {
		l.holder = holder.String()
	}
	return l
}

func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// present returns the certificates that a server presents for a name, which
// may be "", without believing any of them.
func present(ctx context.Context, address, name string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, presentTime)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}

// serveFor returns what is served for a name on l.
func (e *examination) serveFor(ctx context.Context, l listening, name string) doctor.Verdict {
	restart := "end " + orDefault(l.holder, "the devproxy that runs") + " and start it here: " + e.app.command("serve")
	if e.seen.ca == nil {
		return doctor.Verdict{State: doctor.Fail, Detail: "there is no CA on disk that it could be signed by", Fix: e.app.command("trust")}
	}
	chain, err := present(ctx, reachable(l.addr).String(), name)
	if err != nil {
		return doctor.Verdict{
			State:  doctor.Fail,
			Detail: fmt.Sprintf("the devproxy that runs does not answer for it: %v", err),
			Fix:    restart,
		}
	}
	return doctor.Served(chain, name, e.seen.ca.Root(), time.Now(), restart)
}

func orDefault(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// running reports whether a devproxy listens somewhere.
func (e *examination) running() bool {
	return slices.ContainsFunc(e.seen.listeners, func(l listening) bool { return l.ours })
}

// port returns the port that URLs carry.
func (e *examination) port() uint16 {
	for _, l := range e.seen.listeners {
		if l.ours || len(e.seen.listeners) == 1 {
			return l.addr.Port()
		}
	}
	if len(e.seen.listeners) > 0 {
		return e.seen.listeners[0].addr.Port()
	}
	return httpsPort
}

// checkPorts says who holds each address.
func (e *examination) checkPorts(ctx context.Context, cfg *config.Config) {
	start := e.app.command("serve")
	for _, l := range e.seen.listeners {
		var v doctor.Verdict
		switch {
		case l.ours:
			v = doctor.Verdict{State: doctor.OK, Detail: strings.TrimSuffix("devproxy: "+l.holder, ": ")}
		case l.nobody && e.running():
			v = doctor.Verdict{State: doctor.Warn, Detail: "nobody listens here, though devproxy runs", Fix: "restart devproxy: " + start}
		case l.nobody:
			v = doctor.Verdict{State: doctor.Warn, Detail: "nobody listens: devproxy is not running", Fix: start}
		case l.err != nil:
			v = doctor.Verdict{State: doctor.Unknown, Detail: doctor.Reason(l.err)}
		default:
			v = doctor.Verdict{State: doctor.Fail, Detail: "held by " + orDefault(l.holder, "another program"), Fix: otherPort(ctx)}
		}
		e.add("port", l.addr.String(), v)
	}
	e.checkRedirect(cfg)
}

// otherPort says how to get out of the way of another program.
func otherPort(ctx context.Context) string {
	free := freePort(ctx)
	if free == 0 {
		return "stop it, or choose another port in devproxy.toml"
	}
	both := loopback(free)
	return fmt.Sprintf("stop it, or choose another port in devproxy.toml: listen = [%q, %q]", both[0], both[1])
}

// checkRedirect says who holds the ports that send http to https. devproxy
// works without, so only another program there is worth a warning.
func (e *examination) checkRedirect(cfg *config.Config) {
	addrs := cfg.Redirect
	if addrs == nil {
		addrs = loopback(httpPort)
	}
	ours := map[string]bool{}
	for _, l := range e.seen.listeners {
		if l.ours && l.holder != "" {
			ours[l.holder] = true
		}
	}
	for _, addr := range addrs {
		holder, err := e.holder(addr)
		if err != nil || ours[holder.String()] || addr.Port() == 0 {
			continue
		}
		state := doctor.Warn
		if cfg.Redirect != nil {
			state = doctor.Fail // devproxy does not start then
		}
		e.add("port", addr.String(), doctor.Verdict{
			State:  state,
			Detail: "http is not redirected: held by " + holder.String(),
			Fix:    "stop it, or turn the redirect off in devproxy.toml: redirect = []",
		})
	}
}

// checkCertificates reports, for each name, what is served: once where all is
// well, at each address where it is not.
func (e *examination) checkCertificates() {
	for _, r := range e.seen.routes {
		well := false
		for _, l := range e.seen.listeners {
			v, ok := l.served[r.Host]
			if !ok || well && v.State == doctor.OK {
				continue
			}
			well = well || v.State == doctor.OK
			e.add("certificate", r.Host+" at "+l.addr.String(), v)
		}
	}
}

// verify does what a client does with the certificates it is shown.
func verify(shown []*x509.Certificate, name string, roots *x509.CertPool) error {
	options := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range shown[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := shown[0].Verify(options)
	return err
}

// prove makes the handshake of a client that trusts exactly roots: with the
// devproxy that runs where that serves a route, else with a throw-away one.
func (e *examination) prove(ctx context.Context, roots *x509.CertPool) error {
	for _, l := range e.seen.listeners {
		for name, v := range l.served {
			if v.State != doctor.OK {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, presentTime)
			defer cancel()
			// Verified after the handshake: a server takes one that is broken off
			// for a client that does not trust it, and would log so.
			dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
			conn, err := dialer.DialContext(ctx, "tcp", reachable(l.addr).String())
			if err != nil {
				return err
			}
			defer conn.Close()
			return verify(conn.(*tls.Conn).ConnectionState().PeerCertificates, name, roots)
		}
	}
	return proof(e.seen.ca)(ctx, roots)
}
