package proxy

import (
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

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
		zap.String("method", r.Method),
		zap.String("host", host),
		zap.String("path", x.path),
		zap.Int("status", status),
		zap.Int64("bytes", x.bytes.Load()),
		zap.Duration("duration", time.Since(x.began)),
		zap.String("protocol", r.Proto),
		zap.String("backend", backend),
	)
}
