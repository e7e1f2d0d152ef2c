package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"sync/atomic"

	"go.uber.org/zap"
)

// newForwarder returns the handler that passes requests on to backends. Each
// request carries its exchange in its context, so one forwarder serves all.
func newForwarder(transport http.RoundTripper, log *zap.Logger) *httputil.ReverseProxy {
	// It writes about bodies that broke off; exchange.brokenOff says more.
	errorLog, err := zap.NewStdLogAt(log, zap.DebugLevel)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     transport,
		FlushInterval: -1, // what has arrived goes out at once
		BufferPool:    newBufferPool(),
		ErrorLog:      errorLog,
		ModifyResponse: func(res *http.Response) error {
			stripResponse(res.Header)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			w.(*exchange).failed(r, err)
		},
	}
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// forward has the route's backend answer over HTTP/1.1.
func (p *Proxy) forward(x *exchange, r *http.Request) {
	x.forwarded = true
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// Lets the response begin while the body is still coming, as it may in
		// HTTP/2: an echo, or an upload that is refused early. It fails only
		// for writers that are not net/http's.
		_ = http.NewResponseController(x).EnableFullDuplex()
	}
	p.forwarder.ServeHTTP(x, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// rewrite makes the request for the backend. Hop-by-hop headers are gone
// already; method, host, path, query and all other headers stay as they are.
func rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	x := exchangeOf(in.Context())

	target := x.route.Backend.URL
	out.URL.Scheme, out.URL.Host, out.URL.User = target.Scheme, target.Host, nil
	out.URL.RawQuery = in.URL.RawQuery // net/http has removed what it cannot parse
	setPath(out.URL, x.path)

	dropForged(out.Header)
	dropH2C(out.Header)
	setForwarded(out.Header, in, x.local)

	if out.Body != nil {
		body := &requestBody{ReadCloser: out.Body, in: in}
		if len(in.Trailer) > 0 {
			out.Trailer = announcedTrailers(in.Trailer)
			body.trailer = out.Trailer
		}
		x.body = body
		out.Body = body
	}
}

// announcedTrailers returns the trailers to promise to the backend; their
// values come with the end of the body.
func announcedTrailers(in http.Header) http.Header {
	trailer := make(http.Header, len(in))
	for name := range in {
		if !forgeable(name) {
			trailer[name] = nil
		}
	}
	return trailer
}

// A requestBody is a request's body on its way to the backend. At the end it
// brings the trailers along, which net/http's reverse proxy forgets, and it
// notes when the body was the client's fault.
type requestBody struct {
	io.ReadCloser
	in      *http.Request
	trailer http.Header // of the outgoing request
	broken  atomic.Bool // reading failed before the end
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		for name := range b.trailer {
			b.trailer[name] = b.in.Trailer[name]
		}
	default:
		b.broken.Store(true)
	}
	return n, err
}
