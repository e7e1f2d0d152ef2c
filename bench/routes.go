package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// manyRoutes compares 10 routes with 10,000.
func manyRoutes() measurement {
	return measurement{
		name: "routes", about: "10 and 10,000 routes", of: isQuietDevproxy,
		metrics: []metric{
			{"routes.cpu10", "10 routes: h1, CPU per request", "µs"},
			{"routes.cpu10000", "10,000 routes: h1, CPU per request", "µs"},
			{"routes.save10", "10 routes: save to live", "ms"},
			{"routes.save10000", "10,000 routes: save to live", "ms"},
			{"routes.reload", "10,000 routes: added to save to live", "ms"},
			{"routes.reloadcpu", "10,000 routes: CPU of a reload", "ms"},
			{"routes.calm", "10,000 routes: longest request without a reload", "ms"},
			{"routes.pause", "10,000 routes: longest request while reloading", "ms"},
		},
		take: takeManyRoutes,
	}
}

func takeManyRoutes(ctx context.Context, b *bench, of *contender) (values, error) {
	few, err := b.started(of, withHosts(7)) // and the three that are always there
	if err != nil {
		return nil, err
	}
	defer few.discard()
	many, err := b.started(of, withHosts(9_997))
	if err != nil {
		return nil, err
	}
	defer many.discard()

	got := values{}
	for _, c := range []*contender{few, many} {
		if err := settle(ctx, c); err != nil {
			return nil, err
		}
	}
	for key, c := range map[string]*contender{"routes.cpu10": few, "routes.cpu10000": many} {
		var report wrkResult
		used, err := spend(c, func() (err error) {
			report, err = b.wrk(ctx, c, 32, b.seconds*2/3)
			return err
		})
		if err != nil {
			return nil, err
		}
		got[key] = perRequest(used, report.requests)
	}
	for key, c := range map[string]*contender{"routes.save10": few, "routes.save10000": many} {
		if got[key], err = b.savesToLive(c, 3); err != nil {
			return nil, err
		}
	}
	got["routes.reload"] = got["routes.save10000"] - got["routes.save10"]
	return got, b.reloadCosts(ctx, many, got)
}

func withHosts(n int) func(*contender) {
	return func(c *contender) {
		for i := range n {
			c.hosts = append(c.hosts, fmt.Sprintf("r%d.routes.localhost", i))
		}
	}
}

// reloadCosts adds what a reload costs the process, and requests that run
// meanwhile.
func (b *bench) reloadCosts(ctx context.Context, c *contender, got values) error {
	reload := func() error {
		c.saved = append(c.saved, fmt.Sprintf("reloaded%d.shop.localhost", len(c.saved)))
		return b.configure(c)
	}
	used, err := spend(c, func() error {
		if err := reload(); err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		return settle(ctx, c)
	})
	if err != nil {
		return err
	}
	got["routes.reloadcpu"] = millis(used)
	window := max(time.Second, 2*time.Duration(got["routes.save10000"]*float64(time.Millisecond)))
	calm, err := b.longest(c, window, func() error { return nil })
	if err != nil {
		return err
	}
	disturbed, err := b.longest(c, window, reload)
	got["routes.calm"], got["routes.pause"] = millis(calm), millis(disturbed)
	return err
}

// longest makes requests one after the other for d, with meanwhile done beside
// them, and returns how long the longest took.
func (b *bench) longest(c *contender, d time.Duration, meanwhile func() error) (time.Duration, error) {
	conn, err := b.dial(c, "app.localhost", nil)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = meanwhile() })
	var longest time.Duration
	for end := time.Now().Add(d); err == nil && time.Now().Before(end); {
		began := time.Now()
		err = conn.get("/")
		longest = max(longest, time.Since(began))
	}
	wg.Wait()
	if err == nil {
		err = failed
	}
	return longest, err
}

// settle returns when a proxy has nothing left to do.
func settle(ctx context.Context, c *contender) error {
	for began := time.Now(); ; {
		used, err := spend(c, func() error { return pause(ctx, 300*time.Millisecond) })
		if err != nil || used < 5*time.Millisecond {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%s is still busy after %v", c.name, patience)
		}
	}
}
