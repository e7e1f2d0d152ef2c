package backend

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lastWord is how long the rest of an answer may take after a failed write.
// Reading fails by itself on a connection that is reset.
const lastWord = 5 * time.Second

// A conn is a connection of net/http's client to a backend.
//
// Its last word is heard: a backend may answer by the head of a request and
// close, which resets the connection under a body that is still being written.
// At the failed write net/http would give up the connection, with an answer in
// it that nobody has read. So the failure is held back until all that came was
// read, or the connection is closed from this side.
type conn struct {
	net.Conn
	pool *Pool

	written atomic.Int64  // bytes
	refuses atomic.Bool   // to write
	freed   atomic.Int64  // when the last response ended, in Unix nanoseconds; 0 if something came since
	ended   chan struct{} // nothing more will be read
	end     func()
}

func (p *Pool) newConn(c net.Conn) *conn {
	ended := make(chan struct{})
	return &conn{Conn: c, pool: p, ended: ended, end: sync.OnceFunc(func() { close(ended) })}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	freed := c.freed.Load()
	if n > 0 && freed != 0 {
		c.freed.Store(0)
	}
	if err != nil {
		if freed != 0 && n == 0 && !errors.Is(err, net.ErrClosed) {
			c.pool.noteClosed(time.Unix(0, freed))
		}
		c.end()
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	if c.refuses.Load() {
		return 0, ErrTwice
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	if err != nil {
		c.hear()
	}
	return n, err
}

// hear returns when nothing more can be read, or after lastWord. The latter
// needs a clock of its own: HTTP/2 and TLS answer some of what they read, and
// then stop reading until the write that waits here is over.
func (c *conn) hear() {
	limit := time.NewTimer(lastWord)
	defer limit.Stop()
	_ = c.SetReadDeadline(time.Now().Add(lastWord))
	select {
	case <-c.ended:
	case <-limit.C:
	}
}

func (c *conn) Close() error {
	c.end()
	return c.Conn.Close()
}

// CloseWrite tells the backend that nothing more will come, while it may still
// send: upgraded connections can be closed by halves.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
