package proxy

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"
)

// Trailers under the names of headers that are about one connection do not go on
// over another, announced or not.
func TestTrailersAboutConnection(t *testing.T) {
	const trailer = "Connection: x\r\nKeep-Alive: 1\r\nTe: x\r\nUpgrade: x\r\nX-Sum: 1\r\n\r\n"
	got := make(chan http.Header, 1)
	serve := func(announced string) Backend {
		return rawBackend(t, func(conn net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			got <- r.Trailer
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"+announced+"\r\n2\r\nok\r\n0\r\n"+trailer)
		})
	}
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: serve("Trailer: Connection, Keep-Alive, Te, Upgrade, X-Sum\r\n")},
		Route{Host: "app.localhost", Path: "/unannounced", Backend: serve("")})
	want := http.Header{"X-Sum": {"1"}}
	for _, path := range []string{"/", "/unannounced"} {
		both(t, func(t *testing.T, protocol string) {
			res := do(t, f.client(t, protocol), newRequest(t, "GET", f.url("app.localhost", path), nil))
			receive(t, "the request", got)
			if body := readAll(t, res.Body); body != "ok" || !maps.EqualFunc(res.Trailer, want, slices.Equal) {
				t.Errorf("%s: got %q, %v", path, body, res.Trailer)
			}
		})
	}
	f.raw(t, "app.localhost", "POST / HTTP/1.1\r\nHost: app.localhost\r\nTrailer: Connection, Keep-Alive, Te, Upgrade, X-Sum\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n0\r\n"+trailer)
	if got := receive(t, "the request", got); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the backend got %v", got)
	}
}

// A client of HTTP/1.0 knows no informational responses.
func TestInformationalResponsesToHTTP10(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: answers(t,
		"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")})
	res := f.raw(t, "app.localhost", "GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
	if body := readAll(t, res.Body); res.StatusCode != 200 || res.Header["Link"] != nil || body != "ok" {
		t.Errorf("got %d %v %q, want the backend's 200", res.StatusCode, res.Header, body)
	}
}
