package main

import (
	"context"
	"time"
)

// idling is the CPU that a proxy uses for nothing, with its configuration
// watched where it does that by itself.
func idling() measurement {
	return measurement{
		name: "idle", about: "idleness", once: true,
		metrics: []metric{{"idle.cpu", "CPU in 10 s of idleness", "ms"}},
		take: func(ctx context.Context, b *bench, of *contender) (values, error) {
			c, err := b.started(of, nil)
			if err != nil {
				return nil, err
			}
			defer c.discard()
			if err := pause(ctx, time.Second); err != nil {
				return nil, err
			}
			const whole = 10 * time.Second
			d := min(whole, b.seconds*4)
			used, err := spend(c, func() error { return pause(ctx, d) })
			return values{"idle.cpu": millis(used) * float64(whole) / float64(d)}, err
		},
	}
}
