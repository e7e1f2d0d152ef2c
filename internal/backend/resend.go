package backend

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// net/http sends a request without a body again when a connection that it had
// used before ends without an answer: the server may have closed it just then.
// It goes on so through all connections it has, and takes the client's word
// (Idempotency-Key) for what is idempotent. Here a request is sent a second time
// at most, over a new connection, and only by a method that is safe to repeat.

// ErrTwice is the end of a request that would be sent once too often.
var ErrTwice = errors.New("the connection closed without a response, and the request may not be sent again")

// A conn is a connection to a backend.
type conn struct {
	net.Conn
	written atomic.Int64 // bytes
	refuses atomic.Bool  // to write
}

func (c *conn) Write(b []byte) (int, error) {
	if c.refuses.Load() {
		return 0, ErrTwice
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// CloseWrite tells the backend that nothing more will come, while it may still
// send: upgraded connections can be closed by halves.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// sends follows one request through the attempts to send it. net/http makes
// them one after the other.
type sends struct {
	idempotent bool
	last       *conn
	before     int64 // bytes written over last before this request
	sent       bool  // some of the request, once
	again      bool
}

// sendTwiceAtMost has the rule hold for r. A trace that r's context has gets a
// hook, so it must be r's own.
func sendTwiceAtMost(r *http.Request) *http.Request {
	s := &sends{idempotent: idempotent(r.Method)}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
		trace.GotConn = s.gotConn
		return r
	}
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: s.gotConn}))
}

// gotConn is called before each attempt. A connection that refuses to write
// fails it before anything was sent, so net/http tries the next, until it makes
// a new one.
func (s *sends) gotConn(info httptrace.GotConnInfo) {
	c := plain(info.Conn)
	if c == nil {
		return
	}
	if s.last != nil && s.last.written.Load() > s.before {
		s.sent = true
	}
	s.last, s.before = c, c.written.Load()
	switch {
	case !s.sent:
	case info.Reused || s.again || !s.idempotent:
		c.refuses.Store(true)
	default:
		s.again = true
	}
}

// plain returns the connection below c, nil if it speaks HTTP/2: there a server
// says which requests it has not looked at, and only those are sent again.
func plain(c net.Conn) *conn {
	if over, ok := c.(*tls.Conn); ok {
		if over.ConnectionState().NegotiatedProtocol == "h2" {
			return nil
		}
		c = over.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

// idempotent reports whether a method is defined to have the same effect
// however often it is sent (RFC 9110, section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
