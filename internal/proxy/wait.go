package proxy

import (
	"context"
	"net/http"
	"time"
)

const (
	// waitHeader asks whether the backend is there, and to be answered when it
	// is; the request itself is not forwarded. The page about a missing app
	// sends it. Other sites cannot, unless the app allows them any header.
	waitHeader = "X-Devproxy-Wait"

	// waitTime is how long such a question may stay open.
	waitTime = 20 * time.Second
)

// await answers 204 once the route's backend accepts connections, or 503 after
// waitTime.
func (p *Proxy) await(x *exchange, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), waitTime)
	defer cancel()
	x.Header().Set("Cache-Control", "no-store")
	if x.route.pool.Wait(ctx) != nil {
		plainError(x, http.StatusServiceUnavailable, "devproxy: the app is not there yet")
		return
	}
	x.WriteHeader(http.StatusNoContent)
}
