package main

import (
	"context"
	"fmt"
	"time"
)

// minting is a burst of connections for names that have no certificate yet.
func minting() measurement {
	return measurement{
		name: "mint", about: "10,000 names in one burst", of: isQuietDevproxy, once: true,
		metrics: []metric{
			{"mint.cpu", "10,000 names: CPU of each mint", "µs"},
			{"mint.handshake", "10,000 names: CPU of mint and handshake", "µs"},
			{"mint.before", "10,000 names: memory before", "MB"},
			{"mint.peak", "10,000 names: most memory", "MB"},
			{"mint.after", "10,000 names: memory two seconds after", "MB"},
		},
		take: takeMinting,
	}
}

func takeMinting(ctx context.Context, b *bench, of *contender) (values, error) {
	c, err := b.started(of, nil)
	if err != nil {
		return nil, err
	}
	defer c.discard()
	pid := c.process.pid()
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	before, err := memory(pid)
	if err != nil {
		return nil, err
	}
	names := b.scaled(10_000)
	known := names / 10
	plain, err := spend(c, func() error {
		return b.connect(ctx, c, known, func(int) string { return "app.localhost" }, nil)
	})
	if err != nil {
		return nil, err
	}
	watch := watchMemory(pid)
	minted, err := spend(c, func() error {
		return b.connect(ctx, c, names, func(i int) string { return fmt.Sprintf("m%d.shop.localhost", i) }, nil)
	})
	most := watch.stop()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	after, err := memory(pid)
	return values{
		"mint.cpu":       perRequest(minted, names) - perRequest(plain, known),
		"mint.handshake": perRequest(minted, names),
		"mint.before":    before / megabyte,
		"mint.peak":      most / megabyte,
		"mint.after":     after / megabyte,
	}, err
}
