package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"devproxy/internal/config"
)

// switchTime is how long a running server may take to present a new chain. It
// sees the file within half a second.
const switchTime = 5 * time.Second

// serverPlaces returns where a running devproxy may listen: what cfg says, and
// where one listens that runs with another file.
func serverPlaces(cfg *config.Config) []netip.AddrPort {
	at := slices.Concat(cfg.Listen, loopback(httpsPort)[:1], loopback(httpsPortUnprived)[:1])
	at = slices.DeleteFunc(at, func(addr netip.AddrPort) bool { return addr.Port() == 0 })
	var distinct []netip.AddrPort
	for _, addr := range at {
		if addr = reachable(addr); !slices.Contains(distinct, addr) {
			distinct = append(distinct, addr)
		}
	}
	return distinct
}

// presenting returns those of at where a server presents a chain to root now.
func presenting(ctx context.Context, at []netip.AddrPort, root *x509.Certificate) []netip.AddrPort {
	return thoseWhere(ctx, at, root, func(err error) bool { return err == nil })
}

// awaitSwitch waits until every server of at presents a chain to root, for as
// long as patience, and returns those that do not. One that has ended meanwhile
// need not.
func awaitSwitch(ctx context.Context, at []netip.AddrPort, root *x509.Certificate, patience time.Duration) (late []netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late = at
	for len(late) > 0 && ctx.Err() == nil {
		late = thoseWhere(ctx, late, root, func(err error) bool {
			return err != nil && !errors.Is(err, syscall.ECONNREFUSED)
		})
		if len(late) == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return late
}

// thoseWhere makes a handshake with each of at, side by side, which fails
// unless the chain leads to root, and returns those whose outcome satisfies is.
// It asks for the address itself: every devproxy serves that, whatever its
// routes are.
func thoseWhere(ctx context.Context, at []netip.AddrPort, root *x509.Certificate, is func(error) bool) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	outcomes := make([]error, len(at))
	var wg sync.WaitGroup
	for i, addr := range at {
		wg.Go(func() { outcomes[i] = answering(addr, root)(ctx, addr.Addr().String()) })
	}
	wg.Wait()
	var found []netip.AddrPort
	for i, addr := range at {
		if is(outcomes[i]) {
			found = append(found, addr)
		}
	}
	return found
}
