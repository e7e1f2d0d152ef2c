//go:build unix

package socket

import (
	"sync"
	"time"
)

// A patience is how long the Reads of a connection wait. That a deadline was set is
// passed on to the poller only when a Read waits which it would end too late: an
// HTTP server sets several for each request, and none of them comes.
type patience struct {
	mu      sync.Mutex // guards what follows
	wanted  time.Time  // the deadline; zero: none
	armed   time.Time  // the poller's; at times an earlier one
	waiting bool       // the poller is waited for

	dozing bool          // Reads do, see Doze
	asleep bool          // one does
	wake   chan struct{} // has room for the one word that wakes it
	closed bool          // the connection is
}

// loaded tells deadlines of the past without a look at the clock.
var loaded = time.Now()

// spent reports whether a deadline was set to end what is under way.
func spent(t time.Time) bool { return !t.IsZero() && t.Before(loaded) }

// sooner reports whether a deadline comes before another.
func sooner(t, other time.Time) bool {
	return !t.IsZero() && (other.IsZero() || t.Before(other))
}

// SetReadDeadline sets the deadline of Reads, and ends Doze: whoever sets one, or takes
// it back, is about to read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.raw == nil {
		return c.Conn.SetReadDeadline(t)
	}
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = t
	p.rouseLocked()
	if p.waiting && sooner(t, p.armed) {
		return c.armLocked()
	}
	return nil
}

// SetDeadline sets the deadlines of Reads and Writes.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// armLocked has the poller know the deadline.
func (c *Conn) armLocked() error {
	c.patience.armed = c.patience.wanted
	return c.Conn.SetReadDeadline(c.patience.wanted)
}

// arm has the poller know the deadline before more than a Read is done: it must not be
// begun after the deadline, nor fail by one that was replaced.
func (c *Conn) arm() {
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed != p.wanted {
		_ = c.armLocked() // of a connection that is closed, as what follows says
	}
}

// await is told that the poller will be waited for, and awaited that it was.
func (c *Conn) await() {
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = true
	if sooner(p.wanted, p.armed) {
		_ = c.armLocked()
	}
}

func (c *Conn) awaited() {
	p := &c.patience
	if !p.waiting { // which nobody else sets
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
}

// early reports whether the poller's deadline has passed before the real one, which
// it knows then.
func (c *Conn) early() bool {
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	early := p.wanted.IsZero() || time.Now().Before(p.wanted)
	return early && c.armLocked() == nil
}

// Doze says that the other side is not expected to send anything for the moment. A
// Read waits then without a look at the socket, until Wake, a deadline or Close: one
// that is there for nothing but to notice that the other side has left, and is broken
// off, costs a fraction of what the poller does.
func (c *Conn) Doze() {
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dozing = true
}

// Wake ends Doze.
func (c *Conn) Wake() {
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rouseLocked()
}

func (p *patience) rouseLocked() {
	p.dozing = false
	if p.asleep {
		p.asleep = false
		p.wake <- struct{}{}
	}
}

// doze returns when a Read is to look at the socket. It reports whether there is
// time left for that.
func (p *patience) doze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dozing && !p.closed {
		if p.wake == nil {
			p.wake = make(chan struct{}, 1)
		}
		p.asleep = true
		p.mu.Unlock()
		<-p.wake
		p.mu.Lock()
	}
	return p.closed || !spent(p.wanted)
}

// Close closes the connection.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	p := &c.patience
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.rouseLocked()
	return err
}
