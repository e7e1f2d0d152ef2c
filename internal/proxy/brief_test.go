package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A backend that closes after each response, a moment later and without a
// word, loses no form once it is known.
func TestBackendClosesUnsaid(t *testing.T) {
	var told atomic.Int64
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		if r.Close {
			told.Add(1)
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		time.Sleep(time.Millisecond) // the race is for this moment
	})})
	client := f.client(t, "h2")
	for i := 0; told.Load() == 0; i++ {
		if i == 100 {
			t.Fatal("the backend is never told that its connections end")
		}
		if res, _ := get(t, client, f.url("app.localhost", "/")); res.StatusCode != 200 {
			t.Fatalf("GET: %s", res.Status)
		}
	}
	for range 100 {
		res := do(t, client, newRequest(t, "POST", f.url("app.localhost", "/"), strings.NewReader("a form")))
		if body := readAll(t, res.Body); res.StatusCode != 200 || body != "ok" {
			t.Fatalf("POST: %s %q", res.Status, body)
		}
	}
}

// A backend that keeps its connections is told nothing, nor is one that says
// when it does not.
func TestKeptConnectionsAreKept(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			t.Error("told that the connection ends")
		}
		if r.URL.Path == "/end" {
			w.Header().Set("Connection", "close")
		}
	})})
	client := f.client(t, "h2")
	for range 20 {
		get(t, client, f.url("app.localhost", "/"))
		get(t, client, f.url("app.localhost", "/end"))
	}
}
