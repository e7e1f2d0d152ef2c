package main

import (
	"context"
	"fmt"
	"time"
)

// firstRequest is the first visit to a name nobody has asked for yet, beside a
// new connection to one that is known: each from the dialling to the end of
// the answer, in turns.
func firstRequest() measurement {
	return measurement{
		name: "newname", about: "first requests to new names",
		metrics: []metric{
			{"newname.new", "first request to a new name: median", "ms"},
			{"newname.warm", "new connection, known name: median", "ms"},
			{"newname.ratio", "new name ÷ known name", "×"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			known := "known.shop.localhost"
			if err := b.ask(c, known); err != nil {
				return nil, err
			}
			var fresh, warm []float64
			for range b.scaled(60) {
				took, err := b.timed(c, b.newName())
				if err != nil {
					return nil, err
				}
				fresh = append(fresh, millis(took))
				if took, err = b.timed(c, known); err != nil {
					return nil, err
				}
				warm = append(warm, millis(took))
			}
			return values{
				"newname.new":   median(fresh),
				"newname.warm":  median(warm),
				"newname.ratio": median(fresh) / median(warm),
			}, ctx.Err()
		},
	}
}

// timed is ask by the clock.
func (b *bench) timed(c *contender, host string) (time.Duration, error) {
	began := time.Now()
	err := b.ask(c, host)
	return time.Since(began), err
}

// newName returns a host that no contender has served yet.
func (b *bench) newName() string {
	b.names++
	return fmt.Sprintf("new%d.shop.localhost", b.names)
}
