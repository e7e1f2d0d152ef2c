package config

import (
	"fmt"
	"slices"
)

// What the file may hold one day, but devproxy cannot do yet. The values are
// checked and then refused: a key that is accepted and ignored would be worse
// than none. To support one, delete it here and put its value into Config.
var (
	unsupportedTLSKeys = []string{"keylog"}

	unsupportedRouteKeys = []string{
		"strip_prefix", "host", "hold", "hsts", "insecure", "client_auth", "client_ca",
		"request_headers", "response_headers",
	}

	unsupportedSchemes = []string{"https", "h2c", "unix", "dir"}
)

// refuseUnsupported reports those of keys that the table holds.
func (t table) refuseUnsupported(keys []string) {
	for _, key := range t.keys() {
		if slices.Contains(keys, key) {
			t.report(key, fault(fmt.Sprintf("remove %s", key), "not supported yet"))
		}
	}
}

// unsupported returns the mistake of using a scheme that is known but cannot be
// used yet, or nil.
func unsupported(scheme string) *Error {
	if !slices.Contains(unsupportedSchemes, scheme) {
		return nil
	}
	return fault("use "+schemesHint(), "targets with %q are not supported yet", scheme+":")
}
