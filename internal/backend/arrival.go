package backend

import (
	"context"
	"errors"
	"sync"
	"time"
)

// probePause is how long a backend that is awaited is left alone between two
// looks. A dial on loopback costs some 50 µs of CPU.
const probePause = 50 * time.Millisecond

// An arrival is the moment when a backend accepts connections again. All who
// wait for it share one goroutine that looks.
type arrival struct {
	stopped <-chan struct{} // closed when nobody may wait any more; nil: never

	mu   sync.Mutex
	look *look // nil when nobody waits
}

var errStopped = errors.New("waiting for backends has ended")

// A look lasts until the backend is there, or nobody waits any more.
type look struct {
	waiting int             // guarded by arrival.mu
	ctx     context.Context // of the goroutine that looks
	stop    context.CancelFunc
	there   chan struct{} // closed when the backend is
}

// wait returns nil once probe does, or the error of ctx, or errStopped.
func (a *arrival) wait(ctx context.Context, probe func(context.Context) error) error {
	l := a.join(probe)
	defer a.leave(l)
	select {
	case <-l.there:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-a.stopped:
		return errStopped
	}
}

func (a *arrival) join(probe func(context.Context) error) *look {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.look == nil {
		ctx, stop := context.WithCancel(context.Background())
		a.look = &look{ctx: ctx, stop: stop, there: make(chan struct{})}
		go a.run(a.look, probe)
	}
	a.look.waiting++
	return a.look
}

func (a *arrival) leave(l *look) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.waiting--; l.waiting == 0 {
		a.end(l)
	}
}

// end stops l, so that who comes next begins another. a.mu is held.
func (a *arrival) end(l *look) {
	l.stop()
	if a.look == l {
		a.look = nil
	}
}

func (a *arrival) run(l *look, probe func(context.Context) error) {
	tick := time.NewTicker(probePause)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		if probe(l.ctx) == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			close(l.there)
			a.end(l)
			return
		}
	}
}
