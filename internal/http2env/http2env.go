// Package http2env keeps GODEBUG=http2xconnect=1 from net/http, which would
// then offer WebSockets over HTTP/2 (RFC 8441) to browsers. They would use it,
// and nothing behind devproxy understands it.
//
// net/http reads the variable before main runs and has no other switch. This
// package is initialised earlier: Go takes the package with the first import
// path of those whose imports are ready (the specification, "Program
// initialization"), "devproxy/…" comes before "net/http", and what is imported
// here net/http needs as well. Nothing else may be imported.
package http2env

import (
	"os"
	"strings"
)

const variable = "GODEBUG"

// original is what the variable was; "" if it was left alone.
var original = hide()

func hide() string {
	value := os.Getenv(variable)
	// net/http, too, looks for this text and not for a setting.
	harmless := strings.ReplaceAll(value, "http2xconnect=1", "http2xconnect=0")
	if harmless == value || os.Setenv(variable, harmless) != nil {
		return ""
	}
	return value
}

// Restore gives the variable back its value, for programs that this one
// starts. To be called first in main.
func Restore() {
	if original != "" {
		os.Setenv(variable, original)
	}
}
