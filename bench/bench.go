package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// A bench is one comparison with all that runs for it.
type bench struct {
	options
	progress      io.Writer
	programs      programs
	dir           string // everything temporary
	backend, live string // addresses of the apps
	authority     *authority
	contenders    []*contender
	peaks         map[*contender]float64 // bytes, in this round
	apps          []*process
	names         int // how many new hosts were asked for
	results       *results
}

// open starts the apps, makes the certificates and starts all contenders.
func (b *bench) open() error {
	if err := b.startBackend(); err != nil {
		return fmt.Errorf("start the backend: %w", err)
	}
	if err := b.startLive(); err != nil {
		return fmt.Errorf("start the backend for uploads: %w", err)
	}
	var err error
	if b.authority, err = newAuthority(b); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	for _, c := range b.contenders {
		if err := b.prepare(c); err != nil {
			return fmt.Errorf("prepare %s: %w", c.name, err)
		}
		if _, err := b.start(c); err != nil {
			return fmt.Errorf("start %s: %w", c.name, err)
		}
	}
	return nil
}

// close ends all that was started and is still running.
func (b *bench) close() {
	for _, c := range b.contenders {
		c.discard()
	}
	for _, app := range b.apps {
		app.stop()
	}
	os.RemoveAll(b.dir)
}

// run takes every measurement of every contender, in rounds: one contender
// after the other, so that what the machine does meanwhile meets all of them.
func (b *bench) run(ctx context.Context, measurements []measurement) error {
	var failed error
	for round := range b.rounds {
		clear(b.peaks)
		for _, m := range measurements {
			if m.once && round > 0 {
				continue
			}
			fmt.Fprintf(b.progress, "round %d of %d: %s\n", round+1, b.rounds, m.about)
			for _, c := range b.contenders {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if m.of != nil && !m.of(c) {
					continue
				}
				if err := b.measure(ctx, m, c, round); err != nil {
					failed = fmt.Errorf("%s of %s: %w", m.name, c.name, err)
					fmt.Fprintf(b.progress, "  failed: %v\n", failed)
				}
			}
		}
		for c, most := range b.peaks {
			b.results.add(c.name, values{"memory.loaded": most / megabyte})
		}
	}
	return failed
}

// measure takes one measurement of one contender.
func (b *bench) measure(ctx context.Context, m measurement, c *contender, round int) error {
	watch := watchMemory(c.process.pid())
	stopPerf, err := b.profile(m, c, round)
	if err != nil {
		watch.stop()
		return err
	}
	got, err := m.take(ctx, b, c)
	stopPerf()
	most := watch.stop()
	if err != nil {
		return err
	}
	if m.load {
		b.peaks[c] = max(b.peaks[c], most)
	}
	b.results.add(c.name, got)
	fmt.Fprintf(b.progress, "  %-14s %s\n", c.name, got.brief(m))
	return nil
}

// scaled is n for loads of three seconds, less for shorter ones.
func (b *bench) scaled(n int) int {
	return max(4, int(float64(n)*min(1, b.seconds.Seconds()/3)))
}

// spend returns the CPU time that a contender uses while work is done.
func spend(c *contender, work func() error) (time.Duration, error) {
	before, err := cpuTime(c.process.pid())
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := cpuTime(c.process.pid())
	return after - before, err
}
