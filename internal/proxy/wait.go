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
// waitTime or when routes are no longer the ones in force: the way to the
// backend may have been mended in the configuration.
func (p *Proxy) await(x *exchange, r *http.Request, routes *snapshot) {
	ctx, cancel := context.WithTimeout(r.Context(), waitTime)
	defer cancel()
	defer context.AfterFunc(routes.inForce, cancel)()
	x.Header().Set("Cache-Control", "no-store")
	if x.route.pool.Wait(ctx) != nil {
		plainError(x, http.StatusServiceUnavailable, "devproxy: the app is not there yet")
		return
	}
	x.WriteHeader(http.StatusNoContent)
}
