package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"syscall"

	"go.uber.org/zap"

	"devproxy/internal/config"
	"devproxy/internal/portholder"
)

// Ports used when the file names none: 443, or 8443 where 443 is not allowed.
const (
	httpsPort         = 443
	httpsPortUnprived = 8443
	httpPort          = 80
)

// lowPorts is the way to let everyone listen below 1024, said where it helps.
// It beats file capabilities, which every new build of the binary loses.
const lowPorts = "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80"

// loopback returns a port on both families: half of all clients try ::1
// first (clients.md §8).
func loopback(port uint16) []netip.AddrPort {
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port),
		netip.AddrPortFrom(netip.IPv6Loopback(), port),
	}
}

// listeners are the open sockets of a server.
type listeners struct {
	https    []net.Listener
	redirect []net.Listener
	notes    []string // what a person should know of them, a line each

	missing map[netip.Addr]bool // addresses this machine lacks, which was said
}

func (l *listeners) close() {
	for _, ln := range append(l.https, l.redirect...) {
		ln.Close()
	}
}

// port returns the port that URLs carry.
func (l *listeners) port() uint16 { return addrPort(l.https[0]).Port() }

func addrPort(ln net.Listener) netip.AddrPort {
	return netip.MustParseAddrPort(ln.Addr().String())
}

// listen opens all sockets or none.
func listen(ctx context.Context, cfg *config.Config, log *zap.Logger) (_ *listeners, err error) {
	l := &listeners{missing: make(map[netip.Addr]bool)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	denied := false
	if cfg.Listen != nil {
		l.https, err = l.bind(ctx, cfg.Listen, log)
		if errors.Is(err, fs.ErrPermission) {
			return nil, withHint(err, "listen on a port from 1024 up, or allow low ports: %s", lowPorts)
		}
	} else {
		l.https, err = l.bind(ctx, loopback(httpsPort), log)
		if denied = errors.Is(err, fs.ErrPermission); denied {
			l.https, err = l.bind(ctx, loopback(httpsPortUnprived), log)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, ln := range l.https {
		if at := addrPort(ln); !at.Addr().IsLoopback() {
			log.Warn("listening beyond this machine: anyone who reaches this address reaches the backends", zap.Stringer("address", at))
		}
	}

	if cfg.Redirect != nil {
		l.redirect, err = l.bind(ctx, cfg.Redirect, log)
		if errors.Is(err, fs.ErrPermission) {
			return nil, withHint(err, "allow low ports: %s; or turn the redirect off: redirect = []", lowPorts)
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, withHint(err, "stop it, choose another port, or turn the redirect off: redirect = []")
		}
		return l, err
	}
	// Nobody asked for the redirect by name: without it devproxy still works.
	var redirectErr error
	l.redirect, redirectErr = l.bind(ctx, loopback(httpPort), log)
	switch {
	case denied:
		l.notes = append(l.notes, fmt.Sprintf("ports 443 and 80 are not allowed here, so URLs carry :%d and http is not redirected; to get both, run %s and restart devproxy", l.port(), lowPorts))
	case errors.Is(redirectErr, fs.ErrPermission):
		l.notes = append(l.notes, "port 80 is not allowed here, so http is not redirected; to get it, run "+lowPorts+" and restart devproxy")
	case redirectErr != nil:
		l.notes = append(l.notes, "http is not redirected: "+redirectErr.Error())
	}
	return l, nil
}

// bind listens on every address. An address of a family this machine does not
// have is left out with a warning, as long as another remains.
func (l *listeners) bind(ctx context.Context, addrs []netip.AddrPort, log *zap.Logger) (_ []net.Listener, err error) {
	var open []net.Listener
	defer func() {
		if err != nil {
			for _, ln := range open {
				ln.Close()
			}
		}
	}()
	var missing error
	for _, addr := range addrs {
		network := "tcp4"
		if addr.Addr().Is6() && !addr.Addr().Is4In6() {
			network = "tcp6"
		}
		ln, err := (&net.ListenConfig{}).Listen(ctx, network, addr.String())
		switch {
		case err == nil:
			open = append(open, ln)
		case errors.Is(err, syscall.EADDRINUSE):
			return nil, inUse(ctx, addr)
		case network == "tcp6" && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)):
			missing = fmt.Errorf("listen on %s: %w", addr, err)
			if !l.missing[addr.Addr()] { // once for all ports
				log.Warn("this machine has no such IPv6 address; going on without it", zap.Stringer("address", addr))
			}
			l.missing[addr.Addr()] = true
		default:
			return nil, fmt.Errorf("listen on %s: %w", addr, errno(err))
		}
	}
	if len(open) == 0 && missing != nil {
		return nil, missing
	}
	return open, nil
}

// errno strips net's own wrapping, which repeats the address.
func errno(err error) error {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return err
}

// inUse names the program that holds addr, and an address that is free.
func inUse(ctx context.Context, addr netip.AddrPort) error {
	family := "IPv4"
	if addr.Addr().Is6() {
		family = "IPv6"
	}
	who := "another program"
	if holder, err := portholder.Find(addr); err == nil {
		who = holder.String()
	}
	err := fmt.Errorf("listen on %s: %w (%s): held by %s", addr, syscall.EADDRINUSE, family, who)
	free := freePort(ctx)
	if free == 0 {
		return withHint(err, "stop it, or choose another port in devproxy.toml")
	}
	both := loopback(free)
	return withHint(err, "stop it, or choose another port in devproxy.toml: listen = [%q, %q]", both[0], both[1])
}

// freePort returns the first port from 8443 up that nobody holds on either
// family; 0 if there is none among the first hundred.
func freePort(ctx context.Context) uint16 {
	for port := uint16(httpsPortUnprived); port < httpsPortUnprived+100; port++ {
		free := true
		for _, addr := range loopback(port) {
			ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr.String())
			if err == nil {
				ln.Close()
			}
			free = free && !errors.Is(err, syscall.EADDRINUSE)
		}
		if free {
			return port
		}
	}
	return 0
}
