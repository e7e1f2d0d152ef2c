package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A stream whose client does not read ends with its route, too.
func TestStalledStreamsEndWithTheirRoute(t *testing.T) {
	both(t, func(t *testing.T, protocol string) {
		var sent atomic.Int64
		f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
			for buf := make([]byte, 16<<10); ; sent.Add(1) {
				if _, err := w.Write(buf); err != nil {
					return
				}
			}
		})})
		if protocol == "h2" {
			conn := f.connectH2(t, "app.localhost")
			conn.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
			conn.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path", "/")
		} else {
			conn := f.connect(t, "app.localhost", "http/1.1")
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
		}
		last, since := int64(0), time.Now()
		eventually(t, "the response to stall", func() bool {
			if n := sent.Load(); n != last {
				last, since = n, time.Now()
			}
			return last > 0 && time.Since(since) > 300*time.Millisecond
		})
		replace(t, f.table)
		f.table.graceIsOver()
		eventually(t, "the end of the request", func() bool { return f.requests.Load() == 0 })
	})
}
