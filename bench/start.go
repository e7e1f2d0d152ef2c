package main

import (
	"context"
	"time"
)

// starting is from the start of the process until its first 200, with a CA
// that exists already, and the memory a second after that.
func starting() measurement {
	return measurement{
		name: "start", about: "starts",
		metrics: []metric{
			{"start.ready", "start to first 200", "ms"},
			{"start.cpu", "start to first 200: CPU", "ms"},
			{"memory.idle", "memory, idle after one request", "MB"},
		},
		take: func(ctx context.Context, b *bench, of *contender) (values, error) {
			c, err := b.fresh(of, nil)
			if err != nil {
				return nil, err
			}
			defer c.discard()
			var ready, cpu, idle []float64
			for i := range 4 {
				took, err := b.start(c)
				if err != nil {
					return nil, err
				}
				used, err := cpuTime(c.process.pid())
				if err == nil && i == 3 {
					err = pause(ctx, time.Second)
				}
				var pss float64
				if err == nil {
					pss, err = memory(c.process.pid())
				}
				c.process.stop()
				if err != nil {
					return nil, err
				}
				if i == 0 {
					continue // Caddy made its CA
				}
				ready, cpu, idle = append(ready, millis(took)), append(cpu, millis(used)), append(idle, pss/megabyte)
			}
			return values{"start.ready": median(ready), "start.cpu": median(cpu), "memory.idle": idle[len(idle)-1]}, nil
		},
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
