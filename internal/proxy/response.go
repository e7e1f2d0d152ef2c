package proxy

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
)

// The methods of this file make an exchange an http.ResponseWriter with all
// the abilities of the one it wraps: it flushes, it can be hijacked, and
// through Unwrap http.ResponseController finds the rest.

// WriteHeader notes the status and passes it on. Informational responses
// other than 101 may come before it, any number of them.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
		// A backend that does not say what it sends must not be second-guessed:
		// a nil value keeps net/http from sniffing the body.
		if h := x.Header(); x.forwarded && len(h["Content-Type"]) == 0 {
			h["Content-Type"] = nil
		}
		// Where such a client will stop is not known, so no other request can
		// follow on its connection.
		if x.uploading() && status >= 200 {
			x.Header().Set("Connection", "close")
		}
		if x.handled {
			x.route.Rules.Response.apply(x.Header())
			stripResponse(x.Header(), x.route.Rules.KeepHSTS)
		}
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK) // which net/http is about to send
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes.Add(int64(n))
	if err != nil && x.writeErr == nil {
		x.writeErr = err
	}
	return n, err
}

// FlushError sends what has been written so far, but for a head that nothing
// will follow: it goes out at once by itself, and with it the end of the stream.
// In gRPC such a head has the status of a call, unless another frame follows.
func (x *exchange) FlushError() error {
	if x.headOnly {
		return nil
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// Flush is FlushError for callers that know http.Flusher only.
func (x *exchange) Flush() { _ = x.FlushError() }

// Unwrap gives http.ResponseController what is not implemented here.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

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
// what the server had read of it beyond the request: net/http's reverse proxy
// reads from the connection only, and bytes that a client sends without
// waiting for the 101 would be lost.
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
