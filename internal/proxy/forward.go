package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"go.uber.org/zap"
)

// newForwarder returns the handler that passes requests on to backends. Each
// request carries its exchange in its context, so one forwarder serves all.
func newForwarder(log *zap.Logger) *httputil.ReverseProxy {
	// It writes about bodies that broke off; exchange.brokenOff says more.
	errorLog, err := zap.NewStdLogAt(log, zap.DebugLevel)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     outward{},
		FlushInterval: -1, // what has arrived goes out at once
		BufferPool:    newBufferPool(),
		ErrorLog:      errorLog,
		ModifyResponse: func(res *http.Response) error {
			return exchangeOf(res.Request.Context()).answered(res)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			w.(*exchange).failed(r, err)
		},
	}
}

var (
	errStatus   = errors.New("the status is not in the range of HTTP")
	errSwitched = errors.New("the backend switches to a protocol that was not asked for")
)

// answered looks at the head of a backend's response, and changes what clients
// are not to see.
func (x *exchange) answered(res *http.Response) error {
	if res.StatusCode < 100 || res.StatusCode > 999 {
		return errStatus // net/http would panic when asked to send it
	}
	if res.StatusCode == http.StatusSwitchingProtocols && !switchesAsAsked(res) {
		return errSwitched // net/http would not close the connection
	}
	x.diagnose(res)
	rules := &x.route.Rules
	rules.Response.apply(res.Header)
	stripResponse(res.Header, rules.KeepHSTS)
	stripResponse(res.Trailer, rules.KeepHSTS)
	if len(res.Trailer) > 0 && res.Request.ProtoMajor == 1 && res.Request.Method != http.MethodHead {
		// HTTP/2 can have both, but a client of HTTP/1.1 (whose version the
		// request still has) gets trailers after chunks only.
		res.Header.Del("Content-Length")
	}
	x.headOnly = res.ContentLength == 0 && res.Request.ProtoMajor == 2
	if x.body != nil {
		x.body.answered.Store(true)
	}
	return nil
}

// switchesAsAsked reports whether a 101 is for the protocol that the request
// asked for.
func switchesAsAsked(res *http.Response) bool {
	asked, got := res.Request.Header.Get("Upgrade"), res.Header.Get("Upgrade")
	options := strings.ToLower(strings.Join(res.Header["Connection"], ","))
	return asked != "" && strings.EqualFold(asked, got) && strings.Contains(options, "upgrade")
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// forward has the route's backend answer. What takes longer than the route's
// tenure is cancelled.
func (p *Proxy) forward(x *exchange, r *http.Request) {
	x.forwarded = true
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// Lets the response begin while the body is still coming, as it may in
		// HTTP/2: an echo, or an upload that is refused early.
		x.duplex = http.NewResponseController(x).EnableFullDuplex() == nil
	}
	if limit, ok := timeOfCall(r); ok {
		x.deadline = time.Now().Add(limit)
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), exchangeKey{}, x))
	defer cancel(nil)
	defer x.endWithTenure(cancel)()
	p.forwarder.ServeHTTP(x, r.WithContext(ctx))
	if cause := context.Cause(ctx); x.upgraded && endedByUs(cause) {
		x.ended(cause)
	}
	stripResponse(x.Header(), x.route.Rules.KeepHSTS) // trailers are in there, which came after all else
	if x.uploading() && !x.upgraded && !x.waitsForContinue(r) {
		x.linger(r)
	}
}

// endWithTenure cancels the exchange when its route's tenure ends. A handler
// that waits for a client to read does not notice, so that writing gets a limit
// as well. net/http takes it back after the handler, so it must not come later:
// for that the function returned has to be called at the end.
func (x *exchange) endWithTenure(cancel context.CancelCauseFunc) (stop func()) {
	rc := http.NewResponseController(x)
	limited := make(chan struct{})
	unregister := context.AfterFunc(x.route.tenure.ctx, func() {
		defer close(limited)
		cancel(context.Cause(x.route.tenure.ctx))
		_ = rc.SetWriteDeadline(time.Now().Add(closeTime))
	})
	return func() {
		if !unregister() {
			<-limited
		}
	}
}

// rewrite makes the request for the backend. Hop-by-hop headers are gone
// already; method, host, path, query and all other headers stay as they are,
// but for what the route's rules change.
func rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	x := exchangeOf(in.Context())

	route := x.route
	out.URL.User = nil
	out.URL.RawQuery = in.URL.RawQuery // net/http has removed what it cannot parse
	setPath(out.URL, route.stripped(x.path))

	dropForged(out.Header)
	dropH2C(out.Header)
	setForwarded(out.Header, in, x.local)
	if x.client != nil {
		setClient(out.Header, x.client)
	}
	if route.strips() {
		out.Header.Set("X-Forwarded-Prefix", route.Path)
	}
	if route.Rules.SendHost != "" {
		out.Host = route.Rules.SendHost
	}
	addHop(out.Header, in.Header, route)
	route.Rules.Request.dropFolded(out.Header)
	route.Rules.Request.apply(out.Header)

	if out.Body != nil {
		body := &requestBody{ReadCloser: out.Body, in: in}
		if in.ProtoMajor == 1 && (route.target.Scheme == "h2c" || route.target.Scheme == "https") {
			body.ReadCloser = newAbandonable(out.Body)
		}
		if len(in.Trailer) > 0 {
			out.Trailer = announcedTrailers(in.Trailer)
			route.Rules.Request.dropFolded(out.Trailer)
			body.trailer = out.Trailer
		}
		x.body = body
		out.Body = body
	}
}
