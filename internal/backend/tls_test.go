package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// startTLS starts a server whose certificate is for example.com and loopback
// addresses. It answers with the protocol of the request.
func startTLS(t *testing.T, http2 bool) (Target, func() *x509.CertPool) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.TLS.ServerName)
	}))
	srv.EnableHTTP2 = http2
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return Target{Scheme: "https", Address: srv.Listener.Addr().String()}, func() *x509.CertPool { return roots }
}

func TestHTTPSIsVerified(t *testing.T) {
	target, roots := startTLS(t, false)
	nobody := func() *x509.CertPool { return x509.NewCertPool() }
	for _, test := range []struct {
		name       string
		serverName string
		insecure   bool
		roots      func() *x509.CertPool
		want       string // "" for a certificate that is refused
	}{
		{"address", "127.0.0.1", false, roots, "HTTP/1.1 "},
		{"name", "example.com", false, roots, "HTTP/1.1 example.com"},
		{"wrong name", "app.localhost", false, roots, ""},
		{"wrong address", "127.0.0.2", false, roots, ""},
		{"unknown root", "127.0.0.1", false, nobody, ""},
		{"root not of the system", "127.0.0.1", false, nil, ""},
		{"no pool", "127.0.0.1", false, func() *x509.CertPool { return nil }, ""},
		{"insecure", "app.localhost", true, nobody, "HTTP/1.1 app.localhost"},
	} {
		target := target
		target.ServerName, target.Insecure = test.serverName, test.insecure
		p := new(Pools).Get(target, test.roots)
		if err := Probe(t.Context(), target, test.roots); (err == nil) != (test.want != "") {
			t.Errorf("%s: Probe says %v", test.name, err)
		}
		got, err := get(t, p)
		refused, ok := errors.AsType[*tls.CertificateVerificationError](err)
		switch {
		case test.want != "" && (got != test.want || err != nil):
			t.Errorf("%s: got %q, %v; want %q", test.name, got, err, test.want)
		case test.want == "" && (!ok || len(refused.UnverifiedCertificates) != 1):
			t.Errorf("%s: got %q, %v; want the certificate refused", test.name, got, err)
		}
	}
}

// Anchors are asked for with each connection.
func TestRootsMayChange(t *testing.T) {
	target, roots := startTLS(t, true)
	target.ServerName = "example.com"
	now := x509.NewCertPool()
	p := new(Pools).Get(target, func() *x509.CertPool { return now })
	if _, err := get(t, p); err == nil {
		t.Fatal("got an answer without an anchor")
	}
	now = roots()
	if _, err := get(t, p); err != nil {
		t.Errorf("with the anchor: %v", err)
	}
}

func TestALPN(t *testing.T) {
	for _, test := range []struct {
		offered bool
		upgrade bool
		want    string
	}{
		{true, false, "HTTP/2.0 example.com"},
		{false, false, "HTTP/1.1 example.com"},
		{true, true, "HTTP/1.1 example.com"}, // HTTP/2 has no upgrades
	} {
		target, roots := startTLS(t, test.offered)
		target.ServerName = "example.com"
		p := new(Pools).Get(target, roots)
		for range 2 { // also when there is a connection that speaks HTTP/2
			r := call(t, "GET", nil)
			if test.upgrade {
				get(t, p)
				r.Upgrade = "websocket"
			}
			if o := send(p, r, 0); o.body != test.want {
				t.Errorf("HTTP/2 offered %t, upgrade %t: got %q, %v; want %q", test.offered, test.upgrade, o.body, o.err, test.want)
			}
		}
	}
}

// The two sides do not mean the same.
func TestOtherProtocol(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	_, err := get(t, new(Pools).Get(Target{Scheme: "https", Address: plain.Listener.Addr().String(), Insecure: true}, nil))
	if _, ok := errors.AsType[tls.RecordHeaderError](err); !ok {
		t.Errorf("plain server, TLS expected: got %v", err)
	}
	secure, _ := startTLS(t, false)
	secure.Scheme = "http"
	// Go's server answers that in plain text; others send an alert or nothing.
	if o := send(new(Pools).Get(secure, nil), call(t, "GET", nil), 0); o.status != 400 {
		t.Errorf("TLS server, plain text expected: got %d, %v", o.status, o.err)
	}
	if _, err := get(t, new(Pools).Get(Target{Scheme: "h2c", Address: plain.Listener.Addr().String()}, nil)); err == nil {
		t.Error("HTTP/1.1 server, HTTP/2 expected: got no error")
	}
	// A server that insists on a certificate of ours says so with an alert.
	config := serverTLS(t)
	config.ClientAuth, config.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	ln := tls.NewListener(listen(t, loopback4), config)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); conn.(*tls.Conn).Handshake() }()
		}
	}()
	_, err = get(t, new(Pools).Get(Target{Scheme: "https", Address: ln.Addr().String(), Insecure: true}, nil))
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "remote error" {
		t.Errorf("alert: got %v, want a remote error", err)
	}
}
