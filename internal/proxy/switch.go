package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"devproxy/internal/backend"
)

var (
	errUpgrade  = errors.New("HTTP/2 has no upgrades")
	errSwitched = errors.New("the backend switches to a protocol that was not asked for")
	errHalves   = errors.New("the connection cannot be closed by halves")
)

// switchProtocols answers with the backend's 101, and joins the two connections
// until one fails or both directions have ended.
func (x *exchange) switchProtocols(res *http.Response) error {
	defer res.Body.Close()
	far, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !switchesTo(x.call.Upgrade, res.Header) {
		return errSwitched
	}
	if x.body != nil && !x.body.ended.Load() {
		return backend.ErrEarlySwitch // or two would read from the client
	}
	x.route.Rules.Response.apply(res.Header)
	stripResponse(res.Header, x.route.Rules.KeepHSTS)
	near, rw, err := x.Hijack()
	if err != nil {
		return err
	}
	defer near.Close()
	head := *res
	head.Body = nil
	if err := head.Write(rw); err != nil {
		return err
	}
	if err := rw.Flush(); err != nil {
		return err
	}
	join(x.call.Ending(), near, far)
	return nil
}

// switchesTo reports whether the head of a 101 is for the protocol that the
// request asked for, "" if for none.
func switchesTo(asked string, head http.Header) bool {
	return asked != "" && strings.EqualFold(asked, head.Get("Upgrade")) && hasToken(head["Connection"], "upgrade")
}

// join copies both ways between two connections until one fails, both directions
// have ended, or ctx has. Where one direction has ended the other goes on.
func join(ctx context.Context, near, far io.ReadWriteCloser) {
	end := func() {
		near.Close()
		far.Close()
	}
	defer context.AfterFunc(ctx, end)()
	var inward sync.WaitGroup
	inward.Go(func() {
		if carry(near, far) != nil {
			end()
		}
	})
	if carry(far, near) != nil {
		end()
	}
	inward.Wait()
}

// carry copies one direction, and its end.
func carry(to io.Writer, from io.Reader) error {
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errHalves
}

// Hijack hands over the client's connection, for an upgrade. From then on the
// exchange no longer counts as a request that a shutdown waits for.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.status = http.StatusSwitchingProtocols
	x.upgraded = true
	x.proxy.upgrades.Add(1)
	x.proxy.requests.Add(-1)
	return &upgradedConn{Conn: conn, buffered: rw.Reader, sent: &x.bytes}, rw, nil
}

// An upgradedConn is a client's connection after an upgrade. It also returns
// what the server had read of it beyond the request: a client may send without
// waiting for the 101.
type upgradedConn struct {
	net.Conn
	buffered *bufio.Reader // nil once it is drained
	sent     *atomic.Int64
}

func (c *upgradedConn) Read(b []byte) (int, error) {
	if c.buffered != nil {
		if n := c.buffered.Buffered(); n > 0 {
			return c.buffered.Read(b[:min(n, len(b))])
		}
		c.buffered = nil
	}
	return c.Conn.Read(b)
}

func (c *upgradedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// CloseWrite tells the client that nothing more will come, while it may still
// send: half-closed connections work as they do without a proxy.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}
