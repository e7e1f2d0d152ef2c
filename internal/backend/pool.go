package backend

import (
	"context"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"

	"devproxy/internal/socket"
)

const (
	// idlePerBackend is how many connections to one target are kept for the
	// next burst. A page loads hundreds of modules at once, and net/http's
	// default of 2 makes nearly every request dial.
	idlePerBackend = 256

	idleTimeout = 90 * time.Second

	// continueWait is how long a backend may take to answer
	// "Expect: 100-continue" before the body is sent regardless. Old servers
	// ignore the header.
	continueWait = time.Second

	// maxResponseHead is how many bytes the head of a response may have.
	maxResponseHead = 1 << 20
)

// A Pool keeps the connections to one target. Its methods may be called from
// any goroutine.
type Pool struct {
	target     Target
	roots      func() *x509.CertPool // nil: the system's
	dialer     *dialer
	direct     bool                       // by the direct client, not by net/http's
	generation atomic.Pointer[generation] // replaced when the loopback address changes
	loopback   loopback
	arrival    arrival
	watch      watch        // over the exchanges of the direct client
	brief      atomic.Int64 // until when it closes connections unasked, in Unix nanoseconds
	kept       atomic.Int64 // about when it last answered over a used connection, in Unix nanoseconds
}

func newPool(t Target, roots func() *x509.CertPool) *Pool {
	p := &Pool{target: t, roots: roots, dialer: newDialer()}
	p.direct = socket.CanLook && (t.Scheme == "http" || t.Scheme == "unix")
	p.generation.Store(p.newGeneration())
	return p
}

// Do sends c to the target and returns the response, whose body the caller has to
// read to its end or close. It may have a method Buffered() int, which returns how
// many bytes can be read without waiting, or fewer. That of a 101 is an
// io.ReadWriteCloser with a CloseWrite method. The response's Request is of no
// use. A response may come before the body of c was sent; sending then goes on
// until the target stops reading, or the response's body is closed.
//
// If no connection was made the error is a *DialError.
func (p *Pool) Do(c *Call) (*http.Response, error) {
	if p.direct {
		c.dropEmptyBody()
	}
	res, err := p.try(c)
	if begun, ok := c.Body.(*begun); ok && err != nil {
		begun.abandon()
	}
	return res, err
}

// try is Do for a call whose body is known to have something in it, if it can be.
func (p *Pool) try(c *Call) (*http.Response, error) {
	res, err := p.attempt(c)
	if err == nil || c.Hold <= 0 || !nobodyThere(err) {
		return res, err
	}
	if c.Held != nil {
		c.Held()
	}
	ctx, cancel := context.WithTimeout(c.Ending(), c.Hold)
	defer cancel()
	for nobodyThere(err) && p.Wait(ctx) == nil {
		res, err = p.attempt(c)
	}
	return res, err
}

func (p *Pool) attempt(c *Call) (*http.Response, error) {
	g := p.current(c.Context)
	if g.idle != nil {
		return p.send(c, g)
	}
	c.lasts()
	r := c.request(p.target)
	if p.target.Scheme != "h2c" {
		r = follow(r)
		r.Close = p.isBrief() && c.Upgrade == ""
	}
	res, err := g.transport.RoundTrip(r)
	if err == nil {
		res.Header = c.placed(res.Header)
	}
	return res, err
}

// Wait returns nil once the target accepts a connection, or the error of ctx if
// that ends first. However many wait, the target is asked some 20 times a
// second.
func (p *Pool) Wait(ctx context.Context) error {
	return p.arrival.wait(ctx, func(ctx context.Context) error { return p.dialer.probe(ctx, p.target) })
}

// CloseIdle closes the connections that no request uses.
func (p *Pool) CloseIdle() { p.generation.Load().closeIdle() }
