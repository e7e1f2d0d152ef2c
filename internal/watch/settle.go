package watch

import (
	"context"
	"time"
)

// settle calls fire once stirred has been silent for quiet after a stir, or
// limit after the first stir if it never is, and starts over. It returns when
// ctx is done.
func settle(ctx context.Context, stirred <-chan struct{}, quiet, limit time.Duration, fire func()) {
	var deadline time.Time // zero: nothing to report
	timer := time.NewTimer(limit)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-stirred:
			now := time.Now()
			if deadline.IsZero() {
				deadline = now.Add(limit)
			}
			timer.Reset(min(quiet, deadline.Sub(now)))
		case <-timer.C:
			if ctx.Err() != nil {
				return
			}
			deadline = time.Time{}
			fire()
		}
	}
}
