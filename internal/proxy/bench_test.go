package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkForward measures a request of 1 KiB through client, proxy and
// backend, all in this process; compare only with itself.
func BenchmarkForward(b *testing.B) {
	text := strings.Repeat("x", 1024)
	for _, protocol := range []string{"h1", "h2"} {
		for _, access := range []bool{false, true} {
			name := protocol
			if access {
				name += "/access"
			}
			b.Run(name, func(b *testing.B) {
				f := start(b, Route{Host: "app.localhost", Path: "/", Backend: app(b, says(text))})
				f.access.Store(access)
				client := f.client(b, protocol)
				url := f.url("app.localhost", "/path?query")
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						res, err := client.Get(url)
						if err != nil {
							b.Error(err)
							return
						}
						io.Copy(io.Discard, res.Body)
						res.Body.Close()
						if res.StatusCode != http.StatusOK {
							b.Errorf("got %d", res.StatusCode)
						}
					}
				})
				f.logs.TakeAll()
			})
		}
	}
}
