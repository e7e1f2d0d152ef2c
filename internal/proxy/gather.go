package proxy

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"devproxy/internal/socket"
)

const (
	// gatherFrom is the size from which what is written to a client goes out in
	// one piece. Less than that goes out in one anyway: net/http has it wait in a
	// buffer of that size for the end of the response, or for a flush.
	gatherFrom = 2 << 10

	// gathered is how much is gathered at most: four records of the largest size,
	// and what is around them.
	gathered = 72 << 10
)

// A gathering is what was written to a connection while it was held.
type gathering struct {
	n    int
	data [gathered]byte
}

// A gatherer is a client's connection, seen from below TLS. crypto/tls writes
// each record, of 16 KiB at most, by itself, and net/http cuts what it writes
// where its buffers of 4 KiB end. To send what belongs together at once saves a
// quarter of the CPU time of a download. Over HTTP/1.1 an exchange knows what
// that is: it holds the connection meanwhile. For HTTP/2 see coalescer.
type gatherer struct {
	*socket.Conn
	shared *gatherings
	wake   func() // Wake, made once

	coalesces atomic.Bool
	late      coalescer

	mu   sync.Mutex // guards held, and the order of what is written
	held *gathering // nil: what is written goes out
}

// gatherings are what all gatherers of a proxy share. The zero value is ready.
type gatherings struct {
	held, late sync.Pool
	writing    atomic.Int64 // coalescers that have something to write
	haste      atomic.Bool  // connections are closed without a wait for what is still to be written
}

// Write sends b, or keeps it until release if the connection is held.
func (g *gatherer) Write(b []byte) (int, error) {
	if g.coalesces.Load() {
		return g.late.Write(b)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		return g.Conn.Write(b)
	}
	if len(b) > gathered-g.held.n {
		if err := g.sendLocked(); err != nil {
			return 0, err
		}
		if len(b) > gathered {
			return g.Conn.Write(b)
		}
	}
	g.held.n += copy(g.held.data[g.held.n:], b)
	return len(b), nil
}

// hold keeps what is written from going out until release, which has to follow
// soon. Only one goroutine at a time may do so.
func (g *gatherer) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ok bool
	if g.held, ok = g.shared.held.Get().(*gathering); !ok {
		g.held = new(gathering)
	}
}

// release sends what was written since hold.
func (g *gatherer) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.sendLocked()
	g.shared.held.Put(g.held)
	g.held = nil
	return err
}

func (g *gatherer) sendLocked() (err error) {
	if g.held.n > 0 {
		_, err = g.Conn.Write(g.held.data[:g.held.n])
		g.held.n = 0
	}
	return err
}

// coalesce has what is written go out a moment later from now on. Nobody may hold
// the connection.
func (g *gatherer) coalesce() {
	if !g.coalesces.Load() {
		g.coalesces.Store(true)
	}
}

// SetWriteDeadline sets the deadline for what is written from now on.
func (g *gatherer) SetWriteDeadline(t time.Time) error {
	if g.coalesces.Load() && !t.IsZero() && !t.After(time.Now()) {
		g.late.flush() // crypto/tls lets writing fail from when it has said goodbye
	}
	return g.Conn.SetWriteDeadline(t)
}

// Close closes the connection when all is written, but for clients that do not
// read.
func (g *gatherer) Close() error {
	if g.coalesces.Load() {
		g.late.flush()
	}
	return g.Conn.Close()
}

// A gatheringListener accepts connections as gatherers.
type gatheringListener struct {
	net.Listener
	shared *gatherings
}

func (l gatheringListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newGatherer(conn, l.shared), nil
}

func newGatherer(conn net.Conn, shared *gatherings) *gatherer {
	g := &gatherer{Conn: socket.New(conn), shared: shared}
	g.wake = g.Wake
	g.late.conn, g.late.shared = g.Conn, shared
	return g
}

// gathererOf returns what lies below a TLS connection; nil if that is not ours.
func gathererOf(conn net.Conn) *gatherer {
	if client, ok := conn.(*tls.Conn); ok {
		g, _ := client.NetConn().(*gatherer)
		return g
	}
	return nil
}
