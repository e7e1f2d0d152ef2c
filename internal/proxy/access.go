package proxy

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// loggedBytes is how many bytes of anything that a client chose are logged.
// Real paths are shorter; a request may have one of 256 KiB.
const loggedBytes = 2 << 10

// logAccess writes the one line about a request that has ended. The query is
// left out: it is where tokens travel.
func (x *exchange) logAccess(r *http.Request) {
	entry := x.proxy.access.Check(zapcore.InfoLevel, "request")
	if entry == nil {
		return
	}
	host := x.host
	if host == "" {
		host = r.Host // not a name; as it came
	}
	backend := ""
	if x.route != nil {
		backend = x.route.Backend.Name
	}
	status := x.status
	if status == 0 {
		status = http.StatusOK // the handler wrote nothing, which net/http sends as 200
	}
	entry.Write(
		zap.String("method", cut(r.Method, loggedBytes)),
		zap.String("host", cut(host, loggedBytes)),
		zap.String("path", cut(x.path, loggedBytes)),
		zap.Int("status", status),
		zap.Int64("bytes", x.bytes.Load()),
		zap.Duration("duration", time.Since(x.began)),
		zap.String("protocol", r.Proto),
		zap.String("backend", backend),
	)
}

// cut returns s, or of a longer s at most size bytes (some 10 or more) and a
// "…". It leaves no part of a character or of an escape (%C3).
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for range utf8.UTFMax - 1 {
		if utf8.RuneStart(s[size]) {
			break
		}
		size--
	}
	if escape := strings.LastIndexByte(s[:size], '%'); escape > size-len("%C3") {
		size = escape
	}
	return s[:size] + "…"
}
