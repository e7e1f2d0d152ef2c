package proxy

import (
	"net/http"
	"strings"
)

// framing are the headers that say what else there is of a request, and where
// it ends. They may come under their own names only, which net/http knows.
var framing = [...]string{
	"connection", "content-encoding", "content-length", "content-type", "expect", "host",
	"keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}

// forgeable reports whether a backend may read the header name as Forwarded,
// X-Real-IP or one of X-Forwarded-*, X-Devproxy-*, X-Client-Cert-* or Client-Cert
// (with Client-Cert-Chain, RFC 9440), or as a framing header that it is not.
// WSGI, CGI and PHP hand headers to the app as variables, where case is gone
// and "-", "_" and other punctuation are one: a Content_Length would win over
// the length of the body.
func forgeable(name string) bool {
	for _, other := range framing {
		if foldsTo(name, other) {
			return !strings.EqualFold(name, other)
		}
	}
	switch {
	case len(name) < len("forwarded"):
		return false
	case foldsTo(name, "forwarded"), foldsTo(name, "x-real-ip"):
		return true
	}
	return foldsBelow(name, "x-forwarded") || foldsBelow(name, "x-devproxy") ||
		foldsBelow(name, "x-client-cert") || foldsBelow(name, "client-cert")
}

// foldsBelow reports whether name folds to prefix, or to one that goes on after
// a hyphen.
func foldsBelow(name, prefix string) bool {
	if len(name) < len(prefix) || !foldsTo(name[:len(prefix)], prefix) {
		return false
	}
	return len(name) == len(prefix) || !alphanumeric(name[len(prefix)])
}

// foldsTo reports whether name is want, in lower case with hyphens, but for
// case and for what stands where want has a hyphen.
func foldsTo(name, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := range len(name) {
		if fold(name[i]) != want[i] {
			return false
		}
	}
	return true
}

// foldsAlike reports whether two names fold to the same.
func foldsAlike(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case !alphanumeric(c):
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	}
	return c
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// stripResponse removes the response headers that speak about the backend's
// connection and would be wrong, and remembered, for ours:
// Strict-Transport-Security outlives devproxy in the browser and takes the
// host's other ports along; Alt-Svc would send the browser past the proxy.
// A route may keep the former.
func stripResponse(h http.Header, keepHSTS bool) {
	const hsts, altSvc = "Strict-Transport-Security", "Alt-Svc"
	delete(h, altSvc)
	// Trailers that were not announced. Constants: this runs for each response.
	delete(h, http.TrailerPrefix+altSvc)
	// Nor may these come as trailers (RFC 9110, section 6.5.1); net/http has
	// looked at those that were announced only.
	delete(h, http.TrailerPrefix+"Content-Length")
	delete(h, http.TrailerPrefix+"Trailer")
	delete(h, http.TrailerPrefix+"Transfer-Encoding")
	if !keepHSTS {
		delete(h, hsts)
		delete(h, http.TrailerPrefix+hsts)
	}
}
