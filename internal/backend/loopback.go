package backend

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// recheckTime is how often a backend that was reached on ::1 only is looked
	// for on 127.0.0.1 again.
	recheckTime = time.Second

	// recheckWait is how long one request waits for the outcome. A loopback
	// address refuses at once.
	recheckWait = 200 * time.Millisecond
)

// A loopback says whether a pool has connections to ::1, made while nobody
// listened on 127.0.0.1.
//
// They would stay in use long after the app listens on 127.0.0.1 again; and who
// listens on ::1 may be somebody else. So the whole generation is left behind
// then: nothing in it is used again.
type loopback struct {
	on6     atomic.Bool
	mu      sync.Mutex
	checked time.Time // when 127.0.0.1 was asked last
}

// fellBack notes a connection to ::1. current says whether it belongs to the
// generation in use: no request asks for one of another any more.
func (l *loopback) fellBack(current func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if current() {
		l.checked = time.Now()
		l.on6.Store(true)
	}
}

// due reports whether it is time to see if 127.0.0.1 accepts again. It says so
// to one caller only; the others do not wait for the outcome.
func (l *loopback) due() bool {
	if !l.on6.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.on6.Load() || time.Since(l.checked) < recheckTime {
		return false
	}
	l.checked = time.Now()
	return true
}

// current returns the generation for the next request.
func (p *Pool) current(ctx context.Context) *generation {
	if !p.loopback.due() {
		return p.generation.Load()
	}
	port, _ := p.target.localhost()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheckWait)
	defer cancel()
	c, err := p.dialer.connect(ctx, "tcp", net.JoinHostPort(loopback4, port))
	if err == nil {
		c.Close()
	} else if nobodyListens(err) {
		return p.generation.Load()
	}
	// It accepts, or is too busy to: it is there.
	return p.leaveLoopback6()
}

// leaveLoopback6 puts a new generation in the place of the one with connections
// to ::1. Requests that use them finish.
func (p *Pool) leaveLoopback6() *generation {
	p.loopback.mu.Lock()
	defer p.loopback.mu.Unlock()
	next := p.newGeneration()
	old := p.generation.Swap(next)
	p.loopback.on6.Store(false)
	old.leave()
	return next
}
