package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// serve runs an https server that stands for a proxy.
func serve(t *testing.T, handler http.Handler) (*bench, *contender, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &bench{authority: &authority{roots: roots}}, &contender{port: number}, server
}

// httptest's certificate is for this name.
const testHost = "example.com"

func TestConnect(t *testing.T) {
	var mu sync.Mutex
	var full, resumed int
	b, c, server := serve(t, http.NotFoundHandler())
	server.TLS.VerifyConnection = func(state tls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		if state.DidResume {
			resumed++
		} else {
			full++
		}
		return nil
	}
	host := func(int) string { return testHost }
	if err := b.connect(t.Context(), c, 9, host, nil); err != nil {
		t.Fatal(err)
	}
	if full != 9 || resumed != 0 {
		t.Errorf("%d full and %d resumed handshakes, want 9 and 0", full, resumed)
	}
	sessions := tls.NewLRUClientSessionCache(8)
	for _, n := range []int{1, 7} {
		if err := b.connect(t.Context(), c, n, host, sessions); err != nil {
			t.Fatal(err)
		}
	}
	if full != 10 || resumed != 7 {
		t.Errorf("%d full and %d resumed handshakes, want 10 and 7", full, resumed)
	}
	if err := b.connect(t.Context(), c, 2, func(i int) string { return []string{testHost, "other.test"}[i] }, nil); err == nil {
		t.Error("a certificate for another name was accepted")
	}
}

func TestFullHandshakesAreNotCountedAsResumed(t *testing.T) {
	b, c, server := serve(t, http.NotFoundHandler())
	server.TLS.SessionTicketsDisabled = true
	err := b.connect(t.Context(), c, 2, func(int) string { return testHost }, tls.NewLRUClientSessionCache(8))
	if err == nil || !strings.Contains(err.Error(), "resumed false, want true") {
		t.Errorf("got %v, want an error that nothing was resumed", err)
	}
}

func TestRequestsOnOneConnection(t *testing.T) {
	var remotes []string
	b, c, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remotes = append(remotes, r.RemoteAddr)
		w.Header().Set("X-App", "live")
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
		}
	}))
	conn, err := b.dial(c, testHost, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.get("/a"); err != nil {
		t.Error(err)
	}
	if app, err := conn.app(); err != nil || app != "live" {
		t.Errorf("got %q, %v, want live", app, err)
	}
	if err := conn.get("/missing"); err == nil {
		t.Error("404 was taken for 200")
	}
	if len(remotes) != 3 || len(slices.Compact(remotes)) != 1 {
		t.Errorf("requests from %v, want 3 from one", remotes)
	}
}
