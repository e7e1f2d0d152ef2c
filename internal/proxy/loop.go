package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// msgLoop is what the log says of a loop.
const msgLoop = "a request goes round in circles"

const (
	// hopsHeader lists the routes that a request has come through. A frontend's
	// dev server that proxies to a name of ours sends it round in circles.
	hopsHeader = "X-Devproxy-Hops"

	// maxHops is how many routes a request may come through.
	maxHops = 5

	// maxHopName is how many bytes of a route's name are listed, whoever wrote
	// it: all of it adds to a head that some servers allow 4 KiB.
	maxHopName = 60
)

// hops returns the routes that a request has come through.
func hops(h http.Header) []string {
	values := h[hopsHeader]
	if len(values) == 0 {
		return nil
	}
	return strings.SplitN(strings.Join(values, ","), ",", maxHops+1)
}

// hopsThrough tells the next devproxy, which may be this one, that the request in
// came through route.
func hopsThrough(in http.Header, route *Route) string {
	name := route.Host
	if route.Path != "/" {
		name += route.Path
	}
	chain := append(hops(in), strings.ReplaceAll(name, ",", "%2C"))
	for i, hop := range chain {
		hop = strings.TrimSpace(hop)
		chain[i] = hop[:min(len(hop), maxHopName)]
	}
	return strings.Join(chain, ", ")
}

// loop refuses a request that has come through too many routes.
func (p *Proxy) loop(x *exchange, r *http.Request, chain []string) {
	names := make([]string, 0, maxHops+1)
	for _, name := range chain[:maxHops] {
		names = append(names, shown(strings.TrimSpace(name), maxHopName))
	}
	names = append(names, x.route.label())
	line := strings.Join(names, " → ")
	if p.due(notice{kind: msgLoop, host: x.host}) {
		p.log.Warn(msgLoop,
			zap.String("host", x.host),
			zap.String("routes", line),
			zap.String("backend", x.route.Backend.Name))
	}
	p.pages.write(x, r, page{
		Status:  http.StatusLoopDetected,
		Title:   "The request goes round in circles",
		Message: fmt.Sprintf("It came through devproxy %d times: an app behind it sends requests back to it.", len(names)),
		Facts:   []fact{{"Routes", line}},
		Hint: "Have that app's own proxy send to the other app's port, such as http://127.0.0.1:8000, rather than to a name of devproxy's; " +
			"where it must be a name, let it send that name as Host (changeOrigin: true).",
	})
}

// shown returns s, which a client wrote, as printable ASCII of a bounded length.
func shown(s string, size int) string {
	quoted := strconv.QuoteToASCII(cut(s, size))
	return quoted[1 : len(quoted)-1]
}
