package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// A backend that answers before the body has come, and keeps the connection,
// does not get the rest of the body, or of the client, as a request.
func TestEarlyAnswerKeepsFraming(t *testing.T) {
	for name, raw := range map[string]string{
		"length":         "POST " + early + " HTTP/1.1\r\n" + hostLine + "Content-Length: 47\r\n\r\n" + smuggled,
		"chunks":         "POST " + early + " HTTP/1.1\r\n" + hostLine + "Transfer-Encoding: chunked\r\n\r\n2f\r\n" + smuggled + "\r\n0\r\n\r\n",
		"length cut off": "POST " + early + " HTTP/1.1\r\n" + hostLine + "Content-Length: 470\r\n\r\n" + smuggled,
		"chunk cut off":  "POST " + early + " HTTP/1.1\r\n" + hostLine + "Transfer-Encoding: chunked\r\n\r\n2ff\r\n" + smuggled,
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // response and body race
				w := startWitnessed(t)
				w.exchangeTLS(t, raw+after)
				requests, faults := w.settled(t)
				for i, request := range requests {
					if request != "GET /after" && (i > 0 || !strings.HasPrefix(request, "POST "+early)) {
						t.Errorf("the backend saw %q", requests)
					}
				}
				if len(requests) == 0 || len(faults) > 0 {
					t.Errorf("the backend saw %q, faults %q", requests, faults)
				}
			}
		})
	}
}

// exchangeTLS sends text, and closes the connection after the first response.
func (w *witnessed) exchangeTLS(t testing.TB, text string) {
	t.Helper()
	conn := w.connect(t, "app.localhost")
	defer conn.Close()
	io.WriteString(conn, text)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("got %v, %v; want 200", res, err)
	}
}

// What a backend sends without being asked answers no request.
func TestUnaskedResponse(t *testing.T) {
	for name, response := range map[string]string{
		"behind a response":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst",
		"for a body of HEAD": "HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\n",
		"with 204":           "HTTP/1.1 204 No Content\r\n\r\n",
		"with 304":           "HTTP/1.1 304 Not Modified\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int32
			dropped := make(chan bool, 1)
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
				in := bufio.NewReader(conn)
				if _, err := readHead(in); err != nil {
					return
				}
				if conns.Add(1) > 1 {
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
					return
				}
				io.WriteString(conn, response+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
				in.ReadByte() // until the proxy closes the connection
				dropped <- true
			})})
			client := f.client(t, "h2")
			method := http.MethodGet
			if strings.Contains(name, "HEAD") {
				method = http.MethodHead
			}
			res := do(t, client, newRequest(t, method, f.url("app.localhost", "/"), nil))
			if body := readAll(t, res.Body); body != "" && body != "first" {
				t.Errorf("first: got %q", body)
			}
			receive(t, "the end of the connection", dropped)
			if _, body := get(t, client, f.url("app.localhost", "/")); body != "second" {
				t.Errorf("second: got %q", body)
			}
		})
	}
}

// What has no end is given up, and what has begun is broken off.
func TestEndlessHeads(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	for name, test := range map[string]struct {
		begin, more string
		status      int
	}{
		"status line":      {"HTTP/1.1 200 ", "OK", 502},
		"header lines":     {head, "X: y\r\n", 502},
		"header value":     {head + "X: ", "y", 502},
		"header name":      {head, "X", 502},
		"folded value":     {head + "X: y\r\n", " y\r\n", 502},
		"empty lines":      {"", "\r\n", 502},
		"no lines":         {"", "\x00", 502},
		"1xx headers":      {"HTTP/1.1 103 Early Hints\r\n", "X: y\r\n", 502},
		"chunk size":       {head + "Transfer-Encoding: chunked\r\n\r\n", "0", 200},
		"chunk extension":  {head + "Transfer-Encoding: chunked\r\n\r\n1;", "x", 200},
		"chunk extensions": {head + "Transfer-Encoding: chunked\r\n\r\n", "1;" + strings.Repeat("x", 1000) + "\r\nx\r\n", 200},
		"trailers":         {head + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
				if _, err := readHead(bufio.NewReader(conn)); err != nil {
					return
				}
				io.WriteString(conn, test.begin)
				for more := strings.Repeat(test.more, 1+8000/len(test.more)); ; {
					if _, err := io.WriteString(conn, more); err != nil {
						return
					}
				}
			})})
			res := do(t, f.client(t, "h2"), newRequest(t, "GET", f.url("app.localhost", "/"), nil))
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != test.status || test.status == 200 && err == nil {
				t.Errorf("got %d, %d bytes, %v; want %d and a broken body if 200", res.StatusCode, len(body), err, test.status)
			}
		})
	}
}
