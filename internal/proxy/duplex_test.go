package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// h2cApp starts a server that speaks HTTP/2 without TLS, and returns a route's
// backend for it.
func h2cApp(t *testing.T, handler http.HandlerFunc) (*httptest.Server, Backend) {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	target := &url.URL{Scheme: "h2c", Host: srv.Listener.Addr().String()}
	return srv, Backend{URL: target, Name: target.String()}
}

// gRPC's servers refuse requests without "TE: trailers" (pain [50]).
func TestHTTP2BackendGetsTE(t *testing.T) {
	_, backend := h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Header.Get("Te"))
	})
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend})
	both(t, func(t *testing.T, protocol string) {
		if _, got := get(t, f.client(t, protocol), f.url("app.localhost", "/"), "Te", "trailers"); got != "HTTP/2.0 trailers" {
			t.Errorf("the backend saw %q, want HTTP/2.0 trailers", got)
		}
	})
}

// A response without a body ends with its head. gRPC's clients take the status
// of a failed call from there, and an empty frame after it for a broken stream.
func TestHTTP2HeadEndsStream(t *testing.T) {
	_, backend := h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grpc-Status", "12")
		w.Header()["Content-Length"] = nil // nor do gRPC's servers send it
	})
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend})
	transport := f.client(t, "h2").Transport
	for i := range 300 {
		res, err := transport.RoundTrip(newRequest(t, "POST", f.url("app.localhost", "/"), strings.NewReader("call")))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		// net/http's server adds the length if the handler has ended before the
		// head is sent, and so knows that this is the end.
		if status, length := res.Header.Get("Grpc-Status"), res.Header.Get("Content-Length"); status != "12" || length != "0" {
			t.Fatalf("response %d has status %q and length %q; want 12 and 0", i, status, length)
		}
	}
}

// A stream in both directions ends for the client when the backend dies, also
// while the client says nothing.
func TestBackendDiesWhileClientIsSilent(t *testing.T) {
	for _, test := range []struct {
		name  string
		h2c   bool
		begun bool // the response
	}{
		{"HTTP/2, within the response", true, true},
		{"HTTP/2, before it", true, false},
		{"HTTP/1.1, within the response", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			both(t, func(t *testing.T, protocol string) { backendDies(t, protocol, test.h2c, test.begun) })
		})
	}
}

func backendDies(t *testing.T, protocol string, h2c, begun bool) {
	asked, over := make(chan bool, 1), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		if begun {
			rc.Flush()
		}
		r.Body.Read(make([]byte, 5))
		asked <- true
		<-over
	}
	srv := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(srv.Close)
	backend := at(srv.Listener.Addr().String())
	if h2c {
		srv, backend = h2cApp(t, handler)
	}
	t.Cleanup(func() { close(over) })
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend})

	body, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	type answer struct {
		status int
		err    error // of reading the body
	}
	head, answered := make(chan bool, 1), make(chan answer, 1)
	client, req := f.client(t, protocol), newRequest(t, "POST", f.url("app.localhost", "/"), body)
	go func() {
		res, err := client.Do(req)
		if err != nil {
			answered <- answer{0, err}
			return
		}
		head <- true
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		answered <- answer{res.StatusCode, err}
	}()
	io.WriteString(w, "hello")
	receive(t, "the request at the backend", asked)
	if begun {
		receive(t, "the head of the response", head)
	}
	srv.CloseClientConnections()
	got := receive(t, "the end of the response", answered)
	switch {
	case begun && (got.status != 200 || got.err == nil):
		t.Errorf("got %d and error %v; want 200 that breaks off", got.status, got.err)
	case !begun && (got.status != 502 || got.err != nil):
		t.Errorf("got %d and error %v, want 502", got.status, got.err)
	}
}

// An upload is whole at an HTTP/2 backend, and one that is answered early does
// not keep the answer from its client.
func TestUploadToHTTP2Backend(t *testing.T) {
	_, backend := h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			r.Body.Read(make([]byte, 5))
			io.WriteString(w, "enough")
			return
		}
		sum := sha256.New()
		io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x %s", sum.Sum(nil), r.Trailer.Get("X-End"))
	})
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		body, w := io.Pipe()
		defer w.Close()
		res := do(t, client, newRequest(t, "POST", f.url("app.localhost", "/early"), io.MultiReader(strings.NewReader("start"), body)))
		if got := readAll(t, res.Body); got != "enough" {
			t.Errorf("answered early: got %q", got)
		}

		content := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
		req := newRequest(t, "POST", f.url("app.localhost", "/"), io.MultiReader(bytes.NewReader(content)))
		req.Trailer = http.Header{"X-End": {"yes"}}
		want := fmt.Sprintf("%x yes", sha256.Sum256(content))
		if got := readAll(t, do(t, client, req).Body); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A backend that breaks off one stream is not one that speaks another protocol.
func TestHTTP2BackendResetsStream(t *testing.T) {
	_, backend := h2cApp(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend})
	res, body := get(t, f.client(t, "h2"), f.url("app.localhost", "/"))
	if res.StatusCode != 502 || !strings.Contains(body, "it reset the stream") {
		t.Errorf("got %d %q, want 502 and that the stream was reset", res.StatusCode, body)
	}
}
