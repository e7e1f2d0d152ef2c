package backend

import (
	"sync"
	"time"
)

// sweepPause is the time between two looks at connections that nobody uses:
// those that the target has closed, or that are too old, are closed here too.
const sweepPause = 2 * time.Second

// An idle is the connections that no exchange uses. The one that was used last
// is used next, so that the rest of a burst grows old.
type idle struct {
	pool *Pool

	mu      sync.Mutex
	links   []*link // the oldest first
	armed   bool    // a sweep is to come
	closing bool    // connections are not kept, until another is asked for
	left    bool    // connections are not kept any more
}

// take returns a connection that is usable as far as can be seen, nil if there
// is none. With look it was found at rest.
func (i *idle) take(look bool) *link {
	for {
		l := i.pop()
		if l == nil {
			return nil
		}
		if time.Since(l.freed) < idleTimeout && (!look || l.IsQuiet()) {
			return l
		}
		i.discard(l)
	}
}

func (i *idle) pop() *link {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closing = false
	n := len(i.links)
	if n == 0 {
		return nil
	}
	l := i.links[n-1]
	i.links[n-1] = nil
	i.links = i.links[:n-1]
	return l
}

// put takes a connection whose exchange is over.
func (i *idle) put(l *link) {
	now := time.Now()
	if l.used {
		i.pool.noteKept(now)
	}
	l.used, l.freed = true, now
	if !i.keep(l) {
		l.Close()
	}
}

func (i *idle) keep(l *link) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closing || i.left || len(i.links) >= idlePerBackend {
		return false
	}
	i.links = append(i.links, l)
	if !i.armed {
		i.armed = true
		time.AfterFunc(sweepPause, i.sweep)
	}
	return true
}

// discard closes a connection that was idle and is of no more use.
func (i *idle) discard(l *link) {
	i.pool.noteClosed(l.freed)
	l.Close()
}

// sweep closes what is of no more use, until nothing is left.
func (i *idle) sweep() {
	i.mu.Lock()
	defer i.mu.Unlock()
	kept := i.links[:0]
	for _, l := range i.links {
		if time.Since(l.freed) < idleTimeout && l.IsQuiet() {
			kept = append(kept, l)
		} else {
			i.discard(l)
		}
	}
	clear(i.links[len(kept):])
	i.links = kept
	if i.armed = len(kept) > 0; i.armed {
		time.AfterFunc(sweepPause, i.sweep)
	} else {
		i.links = nil
	}
}

// close closes all connections. With leave none is kept any more.
func (i *idle) close(leave bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closing, i.left = true, i.left || leave
	for _, l := range i.links {
		l.Close()
	}
	i.links = nil
}
