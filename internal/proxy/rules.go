package proxy

import (
	"net/http"
	"time"
)

// Rules say what is changed between a client and a route's backend. Its zero
// value changes nothing but what always is.
type Rules struct {
	// StripPrefix removes the route's path from the path of requests.
	StripPrefix bool

	// SendHost is the Host that the backend gets; "" is the browser's own.
	// X-Forwarded-Host is that in any case.
	SendHost string

	// Hold is how long a request waits for a backend at which nobody listens.
	Hold time.Duration

	// KeepHSTS leaves Strict-Transport-Security in responses. It outlives
	// devproxy in the browser, and takes the host's other ports along.
	KeepHSTS bool

	// Request and Response change headers, the latter not those of devproxy's
	// own pages.
	Request, Response HeaderRules
}

// HeaderRules change headers: some are removed, then some set. Names are in
// canonical form (textproto.CanonicalMIMEHeaderKey).
type HeaderRules struct {
	Set    map[string]string
	Remove []string
}

func (rules *HeaderRules) apply(h http.Header) {
	for _, name := range rules.Remove {
		delete(h, name)
	}
	for name, value := range rules.Set {
		h[name] = []string{value}
	}
}

// dropFolded removes the headers that a backend may take for one of the rules:
// see forgeable. To WSGI, X_User is one that the rules set as X-User.
func (rules *HeaderRules) dropFolded(h http.Header) {
	for name := range h {
		if rules.folded(name) {
			delete(h, name)
		}
	}
}

// folded reports whether name folds to that of one of the rules.
func (rules *HeaderRules) folded(name string) bool {
	for _, other := range rules.Remove {
		if foldsAlike(name, other) {
			return true
		}
	}
	for other := range rules.Set {
		if foldsAlike(name, other) {
			return true
		}
	}
	return false
}

// stripped returns path, which lies within the route, without the route's own
// path, if the route wants that.
func (r *Route) stripped(path string) string {
	if !r.strips() {
		return path
	}
	if rest := path[len(r.Path):]; rest != "" {
		return rest
	}
	return "/"
}

func (r *Route) strips() bool { return r.Rules.StripPrefix && r.Path != "/" }
