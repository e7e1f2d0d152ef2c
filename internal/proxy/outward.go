package proxy

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"

	"go.uber.org/zap"
)

// msgHeld is what the log says of requests that wait for their backend.
const msgHeld = "nobody listens at a backend: requests wait for it"

// maxInterim is the number of informational responses that may come before the
// real one. Nobody needs as many; net/http has no limit for those it reports.
const maxInterim = 1000

var (
	errInterim = errors.New("too many informational responses")
	errUpgrade = errors.New("HTTP/2 has no upgrades")
)

// outward sends requests to the backends of their routes. It looks at the
// informational responses (1xx) that net/http's reverse proxy passes on where
// nothing else gets to see them.
type outward struct{}

func (outward) RoundTrip(r *http.Request) (*http.Response, error) {
	route := exchangeOf(r.Context()).route
	if route.target.Scheme == "h2c" && r.Header.Get("Upgrade") != "" {
		return nil, errUpgrade
	}
	// The trace is the reverse proxy's, made for this request alone.
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.Got1xxResponse != nil {
		pass, seen := trace.Got1xxResponse, 0
		trace.Got1xxResponse = func(code int, header textproto.MIMEHeader) error {
			if seen++; seen > maxInterim {
				return errInterim
			}
			if code == http.StatusContinue {
				// net/http's server says so itself when the body is first
				// read, which the backend's 100 has just set off: passed on as
				// well, a client could get it twice.
				return nil
			}
			for _, name := range route.Rules.Response.Remove {
				delete(header, name)
			}
			stripResponse(http.Header(header), route.Rules.KeepHSTS)
			return pass(code, header)
		}
	}
	return route.pool.RoundTrip(r, route.Rules.Hold, exchangeOf(r.Context()).held)
}

// held says that the request waits, which a person sees as a page that does not
// come.
func (x *exchange) held() {
	if p := x.proxy; p.due(notice{msgHeld, x.host, x.route.Backend.Name}) {
		p.log.Info(msgHeld,
			zap.String("host", x.host),
			zap.String("backend", x.route.Backend.Name),
			zap.Duration("hold", x.route.Rules.Hold))
	}
}
