package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
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

	// streamWindow is how much of a response over HTTP/2 may lie here because
	// the client does not read it. net/http's default is 4 MiB, and a page can
	// have hundreds of responses open. On loopback more makes nothing faster.
	streamWindow = 256 << 10
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
}

func newPool(t Target, roots func() *x509.CertPool) *Pool {
	p := &Pool{target: t, roots: roots, dialer: newDialer()}
	p.direct = socket.CanLook && (t.Scheme == "http" || t.Scheme == "unix")
	p.generation.Store(p.newGeneration())
	return p
}

// newTransport returns the connections of g over net/http's client. It waits for responses without
// limit: a person may sit in the debugger.
func (p *Pool) newTransport(g *generation) *http.Transport {
	t := &http.Transport{
		Proxy:                  nil,  // HTTP_PROXY is for the internet, not for backends
		DisableCompression:     true, // or it would ask for gzip and unpack it
		MaxIdleConnsPerHost:    idlePerBackend,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  continueWait,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxResponseHead,
		Protocols:              new(http.Protocols),
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow},
	}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, fellBack, err := p.dialer.dial(ctx, p.target)
		if err != nil {
			return nil, err
		}
		if fellBack {
			p.loopback.fellBack(func() bool { return p.isCurrent(g) })
		}
		return p.newConn(c), nil
	}
	switch p.target.Scheme {
	case "h2c":
		t.Protocols.SetUnencryptedHTTP2(true)
	case "https":
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = p.tlsConfig()
	default:
		t.Protocols.SetHTTP1(true)
	}
	return t
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

// Probe reports whether a target accepts connections and, if it is https, has a
// certificate that is accepted. It sends no request. It gives up when ctx ends,
// at the latest after 5 seconds for each address and for the handshake.
func Probe(ctx context.Context, t Target, roots func() *x509.CertPool) error {
	p := newPool(t, roots)
	c, _, err := p.dialer.dial(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	if t.Scheme != "https" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return tls.Client(c, p.tlsConfig()).HandshakeContext(ctx)
}

// CloseIdle closes the connections that no request uses.
func (p *Pool) CloseIdle() { p.generation.Load().closeIdle() }

// tlsConfig verifies the backend's certificate itself: the anchors may change
// while the transport lives, and its name need not be the host that is dialled.
func (p *Pool) tlsConfig() *tls.Config {
	config := &tls.Config{ServerName: p.target.ServerName, InsecureSkipVerify: true}
	if p.target.Insecure {
		return config
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{DNSName: p.target.ServerName, Intermediates: x509.NewCertPool()}
		if p.roots != nil {
			options.Roots = p.roots()
		}
		for _, cert := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
	return config
}
