package proxy

import (
	"net/http"
	"net/textproto"
	"strings"
)

// hopByHop reports whether a header is about one connection (RFC 9110, section
// 7.6.1). Trailer is put there anew where there are trailers.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// connectionNames returns the headers that Connection declares to be about one
// connection as well; nil, mostly, for none.
func connectionNames(values []string) map[string]bool {
	var names map[string]bool
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			option = textproto.TrimString(option)
			switch strings.ToLower(option) {
			case "", "close", "keep-alive", "upgrade":
				continue
			}
			if names == nil {
				names = make(map[string]bool)
			}
			names[textproto.CanonicalMIMEHeaderKey(option)] = true
		}
	}
	return names
}

// hasToken reports whether a list has the token, which is in lower case.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(option), token) {
				return true
			}
		}
	}
	return false
}

// dropHopByHop removes the headers that are about the backend's connection.
func dropHopByHop(h http.Header) {
	for name := range connectionNames(h["Connection"]) {
		delete(h, name)
	}
	for name := range h {
		if hopByHop(name) {
			delete(h, name)
		}
	}
}
