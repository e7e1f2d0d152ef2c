package main

import (
	"context"
	"fmt"
	"time"
)

// saving is from the save of a configuration with one more host until that
// host answers: devproxy as it always runs, Caddy with --watch.
func saving() measurement {
	return measurement{
		name: "save", about: "saves of the configuration",
		of: func(c *contender) bool { return isQuietDevproxy(c) || c.kind.name == "caddy" },
		metrics: []metric{
			{"save.live", "save to live", "ms"},
		},
		take: func(_ context.Context, b *bench, of *contender) (values, error) {
			c, err := b.started(of, func(c *contender) { c.watching = true })
			if err != nil {
				return nil, err
			}
			defer c.discard()
			live, err := b.savesToLive(c, 3)
			return values{"save.live": live}, err
		},
	}
}

// savesToLive is the median of n saves, in ms.
func (b *bench) savesToLive(c *contender, n int) (float64, error) {
	var all []float64
	for range n {
		took, err := b.saveToLive(c)
		if err != nil {
			return 0, err
		}
		all = append(all, millis(took))
	}
	return median(all), nil
}

// saveToLive adds a host to the configuration and returns how long it took
// until requests for it were answered by its app. Until then the wildcard serves
// it, so that asking costs the proxy little.
func (b *bench) saveToLive(c *contender) (time.Duration, error) {
	host := fmt.Sprintf("saved%d.shop.localhost", len(c.saved))
	c.saved = append(c.saved, host)
	if err := b.configure(c); err != nil {
		return 0, err
	}
	began := time.Now()
	var conn *conn
	err := retry(func() (err error) {
		if conn == nil {
			if conn, err = b.dial(c, host, nil); err != nil {
				return err
			}
		}
		app, err := conn.app()
		if err != nil {
			conn.Close()
			conn = nil
			return err
		}
		if app != "live" {
			return fmt.Errorf("%s is not routed to its app", host)
		}
		return nil
	})
	if conn != nil {
		conn.Close()
	}
	return time.Since(began), err
}

// app asks which app answers on a connection.
func (c *conn) app() (string, error) {
	resp, err := c.request("/")
	if err != nil {
		return "", err
	}
	return resp.Header.Get("X-App"), c.drain(resp)
}
