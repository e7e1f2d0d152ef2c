// Package proxy is devproxy's data path. It accepts TLS connections, finds the
// route for each request in a Table, and has the route's backend answer.
//
// Everything a request needs is decided from one snapshot of the table, so
// that the table may be replaced at any time: no request is dropped and no
// connection closed. Connections to backends are pooled by target and do not
// belong to a table.
//
// The package knows nothing of where certificates come from (it is given a
// function), of the configuration file, or of trust. A request is walked
// through serve, in this file; forward.go continues it towards a backend.
package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"devproxy/internal/backend"
)

// Config says how a Proxy works. It is not used after New has returned.
type Config struct {
	// Table routes the requests. Required; replacing its routes takes effect
	// with the next request.
	Table *Table

	// GetCertificate returns the certificate for a handshake, as
	// tls.Config.GetCertificate does. Required; called concurrently.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// VerifyConnection has the last word on every handshake, resumed ones
	// included, as tls.Config.VerifyConnection does. It is also asked, with
	// DidResume set, whether a session may be resumed at all. Nil: nothing
	// more is checked. Called concurrently.
	VerifyConnection func(tls.ConnectionState) error

	// TrustHint returns what to do when a client rejects the certificate for
	// host, for the log. Nil: nothing is said. Called concurrently.
	TrustHint func(host string) string

	// RefuseClient returns why a client's certificate, which leads to an anchor
	// of its host, is not accepted all the same: nil, or an error whose text is
	// a clause that begins with "it", such as "it was revoked", for pages and the
	// log. It is asked for each request of a host that asks for certificates,
	// concurrently, so it has to be fast. Nil: all are accepted.
	RefuseClient func(cert *x509.Certificate) error

	// ClientHint returns what to do to get a certificate for clients of host,
	// on one line. Nil: nothing is said. Called concurrently.
	ClientHint func(host string) string

	// KeyLog returns where the secrets of TLS connections are written in NSS's
	// format, as by tls.Config.KeyLogWriter; nil: nowhere. It is called several
	// times in each handshake, concurrently. Errors of the writer are ignored.
	KeyLog func() io.Writer

	// AccessLog reports whether requests are logged, one line each. It is
	// asked once per request, concurrently. Nil: they are not.
	AccessLog func() bool

	// Logger receives the log; nil: there is none. Access lines have the name
	// "access", all others "proxy".
	Logger *zap.Logger
}

// A Proxy serves the routes of a table. Make one with New, give it listeners
// with Serve and ServeRedirect, and end it with Shutdown.
type Proxy struct {
	table     *Table
	accessLog func() bool
	log       *zap.Logger
	access    *zap.Logger
	pages     *pages
	notices   notices

	getCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	trustHint      func(host string) string
	refuseClient   func(*x509.Certificate) error
	clientHint     func(host string) string

	sessions sessions
	guards   guards
	below    gatherings

	buffers buffers
	fields  fieldsPool

	https    *http.Server
	redirect *http.Server
	cancel   context.CancelFunc // ends every request and upgraded connection

	requests atomic.Int64 // being answered
	upgrades atomic.Int64 // upgraded connections that are open
}

// New returns a proxy that does not listen yet.
func New(cfg Config) (*Proxy, error) {
	switch {
	case cfg.Table == nil:
		return nil, errors.New("proxy needs a table")
	case cfg.GetCertificate == nil:
		return nil, errors.New("proxy needs certificates")
	}
	logger := cmp.Or(cfg.Logger, zap.NewNop())
	p := &Proxy{
		table:     cfg.Table,
		accessLog: cfg.AccessLog,
		log:       logger.Named("proxy"),
		access:    logger.Named("access"),
		pages:     newPages(),

		getCertificate: cfg.GetCertificate,
		trustHint:      cfg.TrustHint,
		refuseClient:   cfg.RefuseClient,
		clientHint:     cfg.ClientHint,
	}
	if p.accessLog == nil {
		p.accessLog = func() bool { return false }
	}
	p.newServers(cfg)
	p.table.onReplace(p.RecheckClients)
	return p, nil
}

// An exchange is one request on its way through the proxy. It stands in for
// the request's ResponseWriter (see response.go), so that whoever is handed
// the writer, a handler too, also carries what we know.
type exchange struct {
	http.ResponseWriter
	proxy *Proxy

	host  string      // of the request, in normal form
	path  string      // of the request, as it came over the wire
	conn  *connection // of the client
	route *Route      // nil until one is found

	below *gatherer // of an HTTP/1.1 connection: what is written is its only traffic; else nil

	guard  *guard    // of a host that asks for client certificates; else nil
	client *identity // nil: no certificate that is accepted

	began     time.Time    // zero: not logged
	status    int          // 0: no response yet
	bytes     atomic.Int64 // of the response's body, or sent after an upgrade
	upgraded  bool
	forwarded bool         // to a backend's URL
	handled   bool         // by the route's handler
	duplex    bool         // the response may begin while the request's body is coming
	call      backend.Call // to the backend, if forwarded
	interims  interims     // of the backend
	body      *requestBody // the one being sent to the backend, if any
	deadline  time.Time    // of a gRPC call, by its client; zero: none
	writeErr  error        // the first failure to write to the client
	finished  bool         // the request was not abandoned by a panic

	next, prev *exchange // in the tenure of the route
}

// serve answers a request that came over TLS.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	x := &exchange{ResponseWriter: w, proxy: p, conn: connectionOf(r.Context())}
	if below := x.conn.below; r.ProtoMajor == 1 {
		x.below = below
	} else if below != nil {
		below.coalesce()
	}
	if p.accessLog() {
		x.began = time.Now()
	}
	defer x.end(r)

	routes := p.table.current.Load()
	var err error
	if !isToken(r.Method) {
		p.refuse(x, r, errMethod)
	} else if r.Method == http.MethodConnect { // its target has no path
		p.refuseConnect(x, r)
	} else if x.path, err = requestPath(r); err != nil {
		p.refuse(x, r, err)
	} else if !agreesOnLength(r) {
		p.refuse(x, r, errLength)
	} else if x.host, err = routes.normalHost(r.Host); err != nil {
		p.refuse(x, r, err)
	} else if size := headSize(r); size > maxHeader {
		p.headTooLarge(x, r, size)
	} else if !directed(r.TLS, x.conn.local, x.host) {
		p.misdirected(x, r)
	} else if hosted := routes.host(x.host); hosted != nil && hosted.clients != nil {
		p.enforce(x, r, routes, hosted)
	} else {
		p.answer(x, r, routes, hosted)
	}
	x.finished = true
}

// answer answers a request for a host whose routes are hosted, nil if there are
// none, from a client that may see it.
func (p *Proxy) answer(x *exchange, r *http.Request, routes *snapshot, hosted *hostRoutes) {
	if x.route = hosted.route(x.path); x.route == nil {
		p.notFound(x, r, routes)
	} else if x.route.Backend.Handler != nil {
		x.handle(r)
	} else if r.Header[waitHeader] != nil {
		p.await(x, r, routes)
	} else if chain := hops(r.Header); len(chain) >= maxHops {
		p.loop(x, r, chain)
	} else {
		p.forward(x, r)
	}
}

// handle has a handler of this process answer. With its prefix stripped, a
// route's own path is the handler's "/"; the browser has to be at one that ends
// with a slash, too, or relative links would lead past the route.
func (x *exchange) handle(r *http.Request) {
	x.handled = true
	if x.route.strips() {
		if x.path == x.route.Path {
			redirectTemporarily(x, "./"+x.path[strings.LastIndexByte(x.path, '/')+1:]+"/", r.URL)
			return
		}
		r = r.Clone(r.Context())
		backend.SetPath(r.URL, x.route.stripped(x.path))
	}
	if len(r.TLS.PeerCertificates) > 0 {
		r = x.withVerified(r)
	}
	x.route.Backend.Handler.ServeHTTP(x, r)
	if x.status == 0 {
		x.WriteHeader(http.StatusOK) // as net/http would, but with the route's rules
	}
}

// withVerified returns r with a TLS state as crypto/tls leaves it behind when it
// verifies certificates: with the client's only if it was accepted.
func (x *exchange) withVerified(r *http.Request) *http.Request {
	state := *r.TLS
	state.PeerCertificates = nil
	if x.client != nil {
		state.PeerCertificates = r.TLS.PeerCertificates
		state.VerifiedChains = [][]*x509.Certificate{x.client.chain}
	}
	r = r.WithContext(r.Context())
	r.TLS = &state
	return r
}

// end runs when the request is over, also when it is abandoned by a panic:
// http.ErrAbortHandler is how net/http is told to break off a response.
func (x *exchange) end(r *http.Request) {
	p := x.proxy
	if x.upgraded {
		p.upgrades.Add(-1)
	} else {
		p.requests.Add(-1)
	}
	if !x.finished {
		x.brokenOff(r)
		x.cut(r)
	}
	if !x.began.IsZero() {
		x.logAccess(r)
	}
}
