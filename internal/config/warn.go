package config

import (
	"fmt"
	"slices"
	"strings"

	"devproxy/internal/hostname"
)

// preloaded are the top-level domains that are as a whole on the HSTS preload
// list of browsers and open to registrations. The list is for warnings: a
// missing one does no harm.
var preloaded = []string{
	"app", "bank", "boo", "channel", "dad", "day", "dev", "esq", "foo", "ing", "insurance", "meme",
	"mov", "new", "nexus", "page", "phd", "prof", "rsvp", "zip",
}

// warnRoute returns what is likely to surprise about the host of a route, or
// nil. The key is how the user wrote the route.
func warnRoute(r Route, key string) *Error {
	host, wildcard := strings.CutPrefix(r.Host, "*.")
	top := host[strings.LastIndexByte(host, '.')+1:]
	var w *Error
	switch {
	case host == "localhost":
		return nil
	case isNumber(top):
		w = fault("end the name with a word, such as localhost",
			"browsers take a name that ends with a number for an IP address")
	case top == host && !wildcard:
		w = fault(fmt.Sprintf("%q works without that", r.Host+".localhost"),
			"browsers search the web for a single word, and no rule makes it this machine")
	case slices.Contains(preloaded, top):
		w = fault("names below localhost and test are free of that",
			"browsers use nothing but https for .%s and offer no way past a certificate that they do not trust", top)
	case hostname.Within(host, "local"):
		w = fault("names below localhost and test are free of that",
			"names below .local are looked up by multicast DNS (RFC 6762), which can take seconds or find another machine")
	default:
		return nil
	}
	w.Key = routeName(key)
	return w
}

// isNumber reports whether URLs take a host with this last label for an IPv4
// address (WHATWG URL, "ends in a number").
func isNumber(label string) bool {
	hex, ok := strings.CutPrefix(label, "0x")
	return isDigits(label) || ok && strings.Trim(hex, "0123456789abcdef") == ""
}
