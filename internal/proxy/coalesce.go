package proxy

import (
	"net"
	"runtime"
	"sync"
	"time"

	"devproxy/internal/socket"
)

const (
	// coalesced is how much is written at once: two TLS records of the largest
	// size. As much again may wait behind it, if the client does not read.
	coalesced = 36 << 10

	// flushTime is how long the end of a connection waits for what was written to
	// it. So long crypto/tls waits for the alert that says goodbye.
	flushTime = 5 * time.Second
)

// A coalescer writes what it is given a moment later, so that what others want to
// write in the same moment goes along. net/http's server for HTTP/2 sends the
// head of a response, its body and the frames of each stream by themselves, and a
// system call for each would be a quarter of the CPU time of a small response.
type coalescer struct {
	conn   *socket.Conn
	shared *gatherings

	mu      sync.Mutex
	next    *[coalesced]byte // nil if nothing waits
	n       int              // bytes in next
	writing bool             // a goroutine does, or is about to
	changed chan struct{}    // closed at the next change of the above; nil: nobody waits for one
	err     error            // of the write that failed
}

// Write returns when all of b is on its way, or waits in next. Its error is that of
// an earlier write.
func (c *coalescer) Write(b []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.err != nil {
			return n, c.err
		}
		if c.next == nil {
			c.next = c.shared.buffer()
		}
		k := copy(c.next[c.n:], b[n:])
		c.n += k
		n += k
		if !c.writing {
			c.writing = true
			c.shared.writing.Add(1)
			go c.write()
		}
		if n == len(b) {
			return n, nil
		}
		if c.shared.haste.Load() {
			return n, net.ErrClosed // the goodbye of a connection that is closed together with all others
		}
		c.await(nil)
	}
}

// write writes what waits, until nothing does.
func (c *coalescer) write() {
	runtime.Gosched() // to who has more
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n > 0 && c.err == nil {
		now, n := c.next, c.n
		c.next, c.n = nil, 0
		c.notify()
		c.mu.Unlock()
		_, err := c.conn.Write(now[:n])
		c.shared.late.Put(now)
		c.mu.Lock()
		c.err = err
	}
	c.writing = false
	c.shared.writing.Add(-1)
	c.notify()
}

// flush returns when nothing waits any more, or after flushTime.
func (c *coalescer) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.writing || c.shared.haste.Load() {
		return
	}
	limit := time.NewTimer(flushTime)
	defer limit.Stop()
	for c.writing && c.await(limit.C) && !c.shared.haste.Load() {
	}
}

// await returns at the next change, or with false when limit comes before. c.mu is
// held, but not while it waits.
func (c *coalescer) await(limit <-chan time.Time) bool {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	changed := c.changed
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
		return true
	case <-limit:
		return false
	}
}

// notify wakes who waits for a change. c.mu is held.
func (c *coalescer) notify() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (g *gatherings) buffer() *[coalesced]byte {
	if b, ok := g.late.Get().(*[coalesced]byte); ok {
		return b
	}
	return new([coalesced]byte)
}
