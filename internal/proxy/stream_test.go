package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An event stream's headers arrive before its first event, and each event
// before the next one is sent.
func TestEventStream(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "application/octet-stream"} {
		both(t, func(t *testing.T, protocol string) {
			events := make(chan string)
			defer close(events)
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.(http.Flusher).Flush()
				for event := range events {
					io.WriteString(w, event)
					w.(http.Flusher).Flush()
				}
			})})
			res := do(t, f.client(t, protocol), newRequest(t, "GET", f.url("app.localhost", "/"), nil))
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != kind {
				t.Fatalf("got %d %v before the first event", res.StatusCode, res.Header)
			}
			body := bufio.NewReader(res.Body)
			for i := range 3 {
				event := fmt.Sprintf("data: %d\n", i)
				events <- event
				if got, err := body.ReadString('\n'); got != event || err != nil {
					t.Fatalf("got %q, %v; want %q", got, err, event)
				}
			}
		})
	}
}

// A response of known length is not held back either.
func TestSlowDownload(t *testing.T) {
	proceed := make(chan bool)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4")
		io.WriteString(w, "ab")
		w.(http.Flusher).Flush()
		select {
		case <-proceed:
		case <-r.Context().Done(): // the test has failed
		}
		io.WriteString(w, "cd")
	})})
	both(t, func(t *testing.T, protocol string) {
		res := do(t, f.client(t, protocol), newRequest(t, "GET", f.url("app.localhost", "/"), nil))
		half := make([]byte, 2)
		if _, err := io.ReadFull(res.Body, half); err != nil || string(half) != "ab" {
			t.Fatalf("got %q, %v", half, err)
		}
		proceed <- true
		if rest := readAll(t, res.Body); rest != "cd" {
			t.Errorf("got %q", rest)
		}
	})
}

// Request and response may stream at the same time, also over HTTP/1.1.
func TestFullDuplex(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		rc.Flush()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			fmt.Fprintf(w, "%s!\n", lines.Text())
			rc.Flush()
		}
	})})
	both(t, func(t *testing.T, protocol string) {
		body, w := io.Pipe()
		res := do(t, f.client(t, protocol), newRequest(t, "POST", f.url("app.localhost", "/"), body))
		answers := bufio.NewReader(res.Body)
		for _, word := range []string{"one", "two", "three"} {
			io.WriteString(w, word+"\n")
			if got, err := answers.ReadString('\n'); got != word+"!\n" || err != nil {
				t.Fatalf("got %q, %v; want %q", got, err, word+"!")
			}
		}
		w.Close()
		if rest := readAll(t, answers); rest != "" {
			t.Errorf("got %q after the end", rest)
		}
	})
}

// A response that comes before the end of the upload arrives.
func TestEarlyResponse(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			t.Error(err)
		}
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
		io.Copy(io.Discard, conn)
	})})
	both(t, func(t *testing.T, protocol string) {
		body, w := io.Pipe()
		defer w.Close()
		res := do(t, f.client(t, protocol), newRequest(t, "POST", f.url("app.localhost", "/"), io.MultiReader(strings.NewReader("start"), body)))
		if got := readAll(t, res.Body); res.StatusCode != 413 || got != "big" {
			t.Errorf("got %d %q", res.StatusCode, got)
		}
	})
}

// A backend that dies half-way ends its own response, visibly, and nothing else.
func TestBackendDiesMidBody(t *testing.T) {
	die := make(chan bool)
	wait := func() {
		select {
		case <-die:
		case <-t.Context().Done(): // the test has failed
		}
	}
	f := start(t,
		Route{Host: "app.localhost", Path: "/die", Backend: rawBackend(t, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			wait()
		})},
		Route{Host: "app.localhost", Path: "/chunked", Backend: rawBackend(t, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
			wait()
		})},
		Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})},
		Route{Host: "app.localhost", Path: "/ok", Backend: app(t, says("fine"))},
	)
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		stream := do(t, client, newRequest(t, "GET", f.url("app.localhost", "/"), nil))
		for _, path := range []string{"/die", "/chunked"} {
			res := do(t, client, newRequest(t, "GET", f.url("app.localhost", path), nil))
			half := make([]byte, 4)
			if _, err := io.ReadFull(res.Body, half); err != nil {
				t.Fatal(err)
			}
			die <- true
			if rest, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("%s: got %q and a proper end", path, rest)
			}
		}
		if _, body := get(t, client, f.url("app.localhost", "/ok")); body != "fine" {
			t.Errorf("another request: got %q", body)
		}
		ended := make(chan error, 1)
		go func() { _, err := stream.Body.Read(make([]byte, 1)); ended <- err }()
		select {
		case err := <-ended:
			t.Errorf("another stream has ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		stream.Body.Close()
	})
	eventually(t, "a log line for each break", func() bool {
		return f.logs.FilterMessage("response broken off by the backend").Len() == 4
	})
}

func TestBackendGivesNoResponse(t *testing.T) {
	port := closedPort(t)
	routes := []struct {
		path    string
		backend Backend
		status  int
		want    string
	}{
		{"/refuse", at("127.0.0.1:" + port), 503, "nobody listens there"},
		{"/localhost", at("localhost:" + port), 503, "[::1]:" + port},
		{"/close", rawBackend(t, func(conn net.Conn) { http.ReadRequest(bufio.NewReader(conn)) }), 502, "closed the connection without a response"},
		{"/garbage", rawBackend(t, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "SSH-2.0-OpenSSH_9.2 secret\r\n\r\n")
		}), 502, "no valid HTTP response"},
		{"/upgrade", rawBackend(t, func(conn net.Conn) {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
		}), 502, "no valid HTTP response"},
	}
	var table []Route
	for _, r := range routes {
		table = append(table, Route{Host: "app.localhost", Path: r.path, Backend: r.backend})
	}
	f := start(t, table...)
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for _, r := range routes {
			res, body := get(t, client, f.url("app.localhost", r.path))
			if res.StatusCode != r.status || !strings.Contains(body, r.want) || !strings.Contains(body, r.backend.Name) || strings.Count(body, "\n") != 1 {
				t.Errorf("%s: got %d %q, want %d and one line with %q and the backend", r.path, res.StatusCode, body, r.status, r.want)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("%s: the answer repeats what the backend sent", r.path)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: got Cache-Control %q", r.path, res.Header.Get("Cache-Control"))
			}
		}
	})
	for _, line := range f.logs.FilterMessage("backend failed").All() {
		if text := fmt.Sprint(line.ContextMap()); strings.Contains(text, "secret") {
			t.Errorf("the log repeats what the backend sent: %s", text)
		}
	}
}

// Connections to a backend are kept: a burst of requests dials once for each
// that is in flight, the next burst not at all.
func TestConnectionsAreReused(t *testing.T) {
	const burst = 40
	gate := make(chan bool)
	var dialled atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gate }))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	b := at(srv.Listener.Addr().String())
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: b})
	client := f.client(t, "h2")
	for round := range 3 {
		done := make(chan error, burst)
		for range burst {
			go func() {
				res, err := client.Get(f.url("app.localhost", "/"))
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				done <- err
			}()
		}
		for range burst {
			gate <- true
		}
		for range burst {
			if err := receive(t, "a response", done); err != nil {
				t.Fatal(err)
			}
		}
		// The table may be replaced meanwhile.
		if err := f.table.Replace([]Route{{Host: "app.localhost", Path: "/", Backend: at(b.URL.Host)}}); err != nil {
			t.Fatal(err)
		}
		// A few may begin before the last connections are back in the pool;
		// with net/http's default pool each round would dial anew.
		if got := dialled.Load(); got > burst+burst/2 {
			t.Errorf("round %d: %d dials so far, want about %d", round, got, burst)
		}
	}
}
