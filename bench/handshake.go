package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"
)

// handshakes are connections that are opened and closed again, without a
// request: full ones and resumed ones.
func handshakes() measurement {
	return measurement{
		name: "handshake", about: "handshakes", load: true,
		metrics: []metric{
			{"handshake.full", "full handshake: CPU", "µs"},
			{"handshake.resumed", "resumed handshake: CPU", "µs"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			n := b.scaled(900)
			full, err := spend(c, func() error {
				return b.connect(ctx, c, n, func(int) string { return "app.localhost" }, nil)
			})
			if err != nil {
				return nil, err
			}
			sessions := tls.NewLRUClientSessionCache(8)
			// The first one brings the session.
			if err := b.connect(ctx, c, 1, func(int) string { return "app.localhost" }, sessions); err != nil {
				return nil, err
			}
			resumed, err := spend(c, func() error {
				return b.connect(ctx, c, n, func(int) string { return "app.localhost" }, sessions)
			})
			if err != nil {
				return nil, err
			}
			return values{"handshake.full": perRequest(full, n), "handshake.resumed": perRequest(resumed, n)}, nil
		},
	}
}

// connect opens and closes n connections, four at a time, the i-th for
// host(i). With sessions all of them but the very first must be resumed.
func (b *bench) connect(ctx context.Context, c *contender, n int, host func(i int) string, sessions tls.ClientSessionCache) error {
	config := b.clientConfig(c, "", sessions)
	resumes := n > 1 && sessions != nil
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(4, n) {
		wg.Go(func() {
			for ctx.Err() == nil && failure.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := openAndClose(c.address(), config, host(i), resumes); err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

func openAndClose(address string, config *tls.Config, host string, resumes bool) error {
	config = config.Clone()
	config.ServerName = host
	conn, err := dialTLS(address, config)
	if err != nil {
		return err
	}
	if err := conn.finish(); err != nil {
		return err
	}
	if got := conn.ConnectionState().DidResume; got != resumes {
		return fmt.Errorf("handshake for %s: resumed %t, want %t", host, got, resumes)
	}
	return nil
}
