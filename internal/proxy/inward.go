package proxy

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
)

var errStatus = errors.New("the status is not in the range of HTTP")

// answered looks at the head of a backend's response, and changes what clients
// are not to see.
func (x *exchange) answered(r *http.Request, res *http.Response) error {
	if res.StatusCode < 200 || res.StatusCode > 999 {
		return errStatus // net/http would panic when asked to send it
	}
	dropHopByHop(res.Header)
	dropHopByHop(res.Trailer)
	x.diagnose(r, res)
	rules := &x.route.Rules
	rules.Response.apply(res.Header)
	stripResponse(res.Header, rules.KeepHSTS)
	stripResponse(res.Trailer, rules.KeepHSTS)
	if len(res.Trailer) > 0 && r.ProtoMajor == 1 && r.Method != http.MethodHead {
		// HTTP/2 can have both, but a client of HTTP/1.1 gets trailers after
		// chunks only.
		delete(res.Header, "Content-Length")
	}
	if x.body != nil {
		x.body.answered.Store(true)
	}
	return nil
}

// announce sets the head of the response to the client.
func (x *exchange) announce(res *http.Response) {
	h := x.Header()
	if x.call.Header == nil {
		maps.Copy(h, res.Header)
	}
	if len(res.Trailer) > 0 {
		h["Trailer"] = []string{strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", ")}
	}
}

// conclude sets the trailers of a response that has ended, of which as many were
// announced.
func (x *exchange) conclude(res *http.Response, announced int) {
	dropHopByHop(res.Trailer) // clients of HTTP/2 would refuse the response
	if len(res.Trailer) == 0 {
		return
	}
	x.Flush() // or net/http would write the length of a short body in the place of trailers
	h := x.Header()
	for name, values := range res.Trailer {
		if len(res.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	stripResponse(h, x.route.Rules.KeepHSTS) // those that were not announced
}
