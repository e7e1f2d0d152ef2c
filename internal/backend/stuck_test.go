package backend

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// A deafConn cannot be written to once deaf is set, as after a reset under
// which what had come before can be read still.
type deafConn struct {
	net.Conn
	deaf   *atomic.Bool
	failed func() // called by a write that fails
}

func (c deafConn) Write(b []byte) (int, error) {
	if c.deaf.Load() {
		c.failed()
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(b)
}

// net/http answers a PING from the goroutine that reads, which waits there for
// the write that is under way. A failure that is held back until all was read
// would be held for ever, and with it every request on the connection.
func TestFailedWriteWithPingUnread(t *testing.T) {
	if testing.Short() {
		t.Skip("lasts as long as the last word of a backend may")
	}
	var deaf atomic.Bool
	asked, failed := make(chan struct{}), make(chan struct{})
	p := serveH2(t, func(_ int, s h2server) {
		if s.next() != 0 {
			close(asked)
			<-failed
			s.WritePing(false, [8]byte{})
		}
	})
	connect := p.dialer.connect
	p.dialer.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := connect(ctx, network, address)
		return deafConn{c, &deaf, sync.OnceFunc(func() { close(failed) })}, err
	}
	outcomes := make(chan outcome, 2)
	post := func() { outcomes <- send(p, call(t, http.MethodPost, nil), 0) }
	go post()
	receive(t, "the first request", asked)
	deaf.Store(true)
	go post()
	for range 2 {
		if got := receive(t, "the end of a request", outcomes); got.err == nil {
			t.Errorf("got status %d, want an error", got.status)
		}
	}
}
