package backend

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// A request is sent a second time at most, over a new connection, and only by a
// method that is safe to repeat. Over the direct client that is up to
// Pool.exchange, and nothing else repeats anything.
//
// net/http's client sends a request without a body again when a connection that
// it had used before ends without an answer: the server may have closed it just
// then. It goes on so through all connections it has, and takes the client's
// word (Idempotency-Key) for what is idempotent. It is kept from that here.

// ErrTwice is the end of a request that would be sent once too often.
var ErrTwice = errors.New("the connection closed without a response, and the request may not be sent again")

// attempts follow one request through the attempts to send it. net/http makes
// them one after the other.
type attempts struct {
	resendable bool // once
	idempotent bool
	last       *conn
	before     int64 // bytes written over last before this request
	sent       bool  // some of the request, once
	again      bool
	reused     bool // last was
}

// follow has the rule hold for r. A trace that r's context has gets hooks, so it
// must be r's own.
func follow(r *http.Request) *http.Request {
	a := &attempts{resendable: r.Body == nil, idempotent: idempotent(r.Method)}
	trace := httptrace.ContextClientTrace(r.Context())
	if trace == nil {
		trace = new(httptrace.ClientTrace)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
		trace = httptrace.ContextClientTrace(r.Context())
	}
	trace.GotConn, trace.PutIdleConn = a.gotConn, a.putIdleConn
	return r
}

// gotConn is called before each attempt. A connection that refuses to write
// fails it before anything was sent, so net/http tries the next, until it makes
// a new one.
func (a *attempts) gotConn(info httptrace.GotConnInfo) {
	c := plain(info.Conn)
	if c == nil {
		return
	}
	if a.last != nil && a.last.written.Load() > a.before {
		a.sent = true
	}
	a.last, a.before, a.reused = c, c.written.Load(), info.Reused
	switch {
	case !a.sent || !a.resendable: // net/http sends no body twice
	case info.Reused || a.again || !a.idempotent:
		c.refuses.Store(true)
	default:
		a.again = true
	}
}

// putIdleConn is called when the connection is free for another request.
func (a *attempts) putIdleConn(err error) {
	if err != nil || a.last == nil {
		return
	}
	now := time.Now()
	if a.reused {
		a.last.pool.noteKept(now)
	}
	a.last.freed.Store(now.UnixNano())
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
