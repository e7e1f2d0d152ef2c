package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has no certificate learns nothing of a protected host but that.
func TestProtectedHostTellsNothing(t *testing.T) {
	reached := make(chan string, 100)
	backend := app(t, func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path })
	backend.Name = "s3cret-backend"
	handler := Backend{Name: "s3cret-handler", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached <- "handler" })}
	down := nowhere
	down.Name = "s3cret-down"
	policy := &asks(true, newClientCA(t)).ClientAuth
	route := func(path string, b Backend) Route {
		return Route{Host: "admin.localhost", Path: path, Backend: b, Clients: policy}
	}
	f := start(t,
		route("/app", backend), route("/handler", handler), route("/down", down),
		Route{Host: "*.wild.localhost", Path: "/", Backend: backend, Clients: policy},
	)
	for _, test := range []struct{ name, host, head string }{
		{"app", "admin.localhost", "GET /app HTTP/1.1\r\n"},
		{"handler", "admin.localhost", "GET /handler HTTP/1.1\r\n"},
		{"app that is down", "admin.localhost", "GET /down HTTP/1.1\r\n"},
		{"wait poll", "admin.localhost", "GET /down HTTP/1.1\r\nX-Devproxy-Wait: 1\r\n"},
		{"wait poll of an app", "admin.localhost", "GET /app HTTP/1.1\r\nX-Devproxy-Wait: 1\r\n"},
		{"no route", "admin.localhost", "GET /nowhere HTTP/1.1\r\nAccept: text/html\r\n"},
		{"OPTIONS *", "admin.localhost", "OPTIONS * HTTP/1.1\r\n"},
		{"upgrade", "admin.localhost", "GET /app HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"},
		{"body", "admin.localhost", "POST /app HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n"},
		{"loop", "admin.localhost", "GET /app HTTP/1.1\r\nX-Devproxy-Hops: a, b, c, d, e\r\n"},
		{"forged", "admin.localhost", "GET /app HTTP/1.1\r\nX-Client-Cert-Subject: CN=alice\r\nClient-Cert: :AA==:\r\n"},
		{"absolute form", "admin.localhost", "GET https://admin.localhost/app HTTP/1.1\r\n"},
		{"any name of a wildcard", "a.b.wild.localhost", "GET / HTTP/1.1\r\n"},
	} {
		res := f.raw(t, test.host, test.head+"Host: "+test.host+"\r\n\r\n")
		body := readAll(t, res.Body)
		if res.StatusCode != 403 || !res.Close || strings.Contains(body, "s3cret") || !strings.Contains(body, noneSent) {
			t.Errorf("%s: got %d, closing %t, %q", test.name, res.StatusCode, res.Close, body)
		}
	}
	both(t, func(t *testing.T, protocol string) {
		if res, body := get(t, f.client(t, protocol), f.url("admin.localhost", "/app")); res.StatusCode != 403 {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	})
	if len(reached) > 0 {
		t.Errorf("%s was reached", <-reached)
	}
}

// A protected host is reached over connections for it only, even with a
// certificate that it accepts.
func TestForgedHostOfProtected(t *testing.T) {
	ca := newClientCA(t)
	cert := ca.issue(t, nil)
	reached := make(chan bool, 100)
	backend := app(t, func(http.ResponseWriter, *http.Request) { reached <- true })
	policy, same := asks(true, ca), asks(true, ca)
	f := start(t,
		Route{Host: "admin.localhost", Path: "/", Backend: backend, Clients: &policy.ClientAuth},
		Route{Host: "open.localhost", Path: "/", Backend: app(t, says("open"))},
		Route{Host: "other.localhost", Path: "/", Backend: app(t, says("other")), Clients: &same.ClientAuth},
	)
	dial := func(sni string, alpn string) *tls.Conn {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: sni, NextProtos: []string{alpn}, Certificates: []tls.Certificate{*cert}}
		conn, err := tls.Dial("tcp", f.addr.String(), config)
		if err != nil {
			t.Fatalf("SNI %q: %v", sni, err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		return conn
	}
	for _, sni := range []string{"open.localhost", "other.localhost", "", "sub.admin.localhost"} {
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: admin.localhost\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: ADMIN.localhost.\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: admin.localhost:443\r\n\r\n",
			"GET https://admin.localhost/ HTTP/1.1\r\nHost: open.localhost\r\n\r\n",
			"GET https://admin.localhost/ HTTP/1.1\r\nHost: other.localhost\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: admin.localhost\r\n\r\n",
			"GET / HTTP/1.0\r\nHost: admin.localhost\r\n\r\n",
		} {
			conn := dial(sni, "http/1.1")
			io.WriteString(conn, request)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != 421 {
				t.Errorf("SNI %q, %q: got %v, %v; want 421", sni, request, res, err)
			}
		}
		conn := dial(sni, "http/1.1")
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: open.localhost\r\nHost: admin.localhost\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 400 {
			t.Errorf("SNI %q, two Hosts: got %v, %v; want 400", sni, res, err)
		}
		protocols := new(http.Protocols)
		protocols.SetHTTP2(true)
		h2 := &http.Client{Timeout: patience, Transport: &http.Transport{Protocols: protocols, DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return dial(sni, "h2"), nil }}}
		t.Cleanup(h2.CloseIdleConnections)
		if res, body := get(t, h2, f.url("admin.localhost", "/")); res.StatusCode != 421 {
			t.Errorf("SNI %q over HTTP/2: got %d %q, want 421", sni, res.StatusCode, body)
		}
	}
	if len(reached) > 0 {
		t.Fatal("the protected app was reached")
	}
	// The same name in another case is the same host, and asked for a certificate.
	for _, sni := range []string{"admin.localhost", "ADMIN.LocalHost"} {
		conn := dial(sni, "http/1.1")
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: Admin.localhost.\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
			t.Errorf("SNI %q: got %v, %v", sni, res, err)
		}
	}
}

// What a client says of its certificate itself never reaches an app, by no host.
func TestForgedClientHeaders(t *testing.T) {
	type heard struct{ header, trailer http.Header }
	seen := make(chan heard, 1)
	backend := app(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- heard{r.Header, r.Trailer}
	})
	ca := newClientCA(t)
	f := start(t,
		Route{Host: "open.localhost", Path: "/", Backend: backend},
		Route{Host: "request.localhost", Path: "/", Backend: backend, Clients: &asks(false, ca).ClientAuth},
	)
	forged := []string{
		"X-Client-Cert-Subject", "X_Client_Cert_Subject", "x-client_cert.subject", "X-Client-Cert", "X_CLIENT_CERT_FINGERPRINT",
		"X-Client-Cert-Verified", "Client-Cert", "client_cert", "CLIENT.CERT", "Client-Cert-Chain", "Client_Cert_Chain",
	}
	for _, host := range []string{"open.localhost", "request.localhost"} {
		request := "POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\nTrailer: X_Client_Cert_Subject, X-Kept\r\n" +
			"Client-Certificate: kept\r\nConnection: X-Client-Cert-Subject\r\n"
		for _, name := range forged {
			request += name + ": forged\r\n"
		}
		f.raw(t, host, request+"\r\n0\r\nX_Client_Cert_Subject: forged\r\nX-Kept: kept\r\n\r\n")
		got := receive(t, "the request", seen)
		for _, h := range []http.Header{got.header, got.trailer} {
			for name, values := range h {
				if slices.Contains(values, "forged") {
					t.Errorf("%s: %s has reached the app", host, name)
				}
			}
		}
		if got.header.Get("Client-Certificate") != "kept" || got.trailer.Get("X-Kept") != "kept" {
			t.Errorf("%s: others were dropped: %v, %v", host, got.header, got.trailer)
		}
	}
}

// Handlers see a certificate only if it was accepted.
func TestHandlersSeeAcceptedCertificates(t *testing.T) {
	ca := newClientCA(t)
	handler := Backend{Name: "handler", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.TLS.PeerCertificates), len(r.TLS.VerifiedChains), r.TLS.ServerName)
	})}
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: handler, Clients: &asks(false, ca).ClientAuth})
	for want, cert := range map[string]*tls.Certificate{
		"1 1app.localhost": ca.issue(t, nil), "0 0app.localhost": newClientCA(t).issue(t, nil),
	} {
		if _, body := get(t, f.as(t, "h2", cert), f.url("app.localhost", "/")); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
	}
}

// A connection from before a host asked for certificates is given up, so that
// the next one is asked.
func TestConnectionsThatWereNotAsked(t *testing.T) {
	ca, next := newClientCA(t), newClientCA(t)
	both(t, func(t *testing.T, protocol string) {
		seen := make(chan http.Header, 1)
		backend := app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
		route := func(policy *ClientAuth) Route {
			return Route{Host: "app.localhost", Path: "/", Backend: backend, Clients: policy}
		}
		f := start(t, route(nil))
		client := f.as(t, protocol, ca.issue(t, nil))
		try := func(status int, known bool) {
			t.Helper()
			res, body := get(t, client, f.url("app.localhost", "/"))
			if res.StatusCode != status {
				t.Errorf("got %d %q, want %d", res.StatusCode, body, status)
			}
			if status != 200 {
				return
			}
			if got := receive(t, "the request", seen).Get("X-Client-Cert-Subject") != ""; got != known {
				t.Errorf("the app is told of a certificate: %t, want %t", got, known)
			}
		}
		try(200, false)
		replace(t, f.table, route(&asks(false, ca).ClientAuth))
		try(200, false)
		try(200, true) // on another connection
		replace(t, f.table, route(nil))
		try(200, false)
		client.CloseIdleConnections()
		try(200, false)
		policy := asks(true, ca)
		replace(t, f.table, route(&policy.ClientAuth))
		try(421, false)
		try(200, true)
		replace(t, f.table, route(&asks(true, ca).ClientAuth)) // the same
		try(200, true)
		policy = asks(true, next)
		replace(t, f.table, route(&policy.ClientAuth))
		try(421, false)
		try(403, false)
		try(403, false)
		policy.in.Store(ca.anchors())
		try(200, true)
	})
}

// Certificates are looked at again for each request.
func TestVerdictsChange(t *testing.T) {
	ca := newClientCA(t)
	cert := ca.issue(t, nil)
	list := new(revoked)
	policy := asks(true, ca)
	f := startConfigured(t, func(cfg *Config) { cfg.RefuseClient = list.refuse },
		Route{Host: "app.localhost", Path: "/", Backend: app(t, says("fine")), Clients: &policy.ClientAuth})
	both(t, func(t *testing.T, protocol string) {
		client := f.as(t, protocol, cert)
		opened := 0
		dial := client.Transport.(*http.Transport).DialContext
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			opened++
			return dial(ctx, network, address)
		}
		try := func(status, connections int) {
			t.Helper()
			if res, body := get(t, client, f.url("app.localhost", "/")); res.StatusCode != status || opened != connections {
				t.Errorf("got %d %q over %d connections, want %d over %d", res.StatusCode, body, opened, status, connections)
			}
		}
		try(200, 1)
		try(200, 1)
		list.cert.Store(cert.Leaf)
		try(403, 1)
		try(403, 2)
		list.cert.Store(nil)
		try(200, 3)
		try(200, 3)
	})
}

// Of a certificate that was verified, the end of its validity is still seen.
func TestVerdictsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newClientCA(t)
		cert := ca.issue(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now(), time.Now().Add(time.Minute)
		}).Leaf
		p, conn := new(Proxy), new(connection)
		state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		anchors := ca.anchors()
		first, reason := p.identify(conn, state, anchors)
		if first == nil {
			t.Fatal(reason)
		}
		if again, _ := p.identify(conn, state, ca.anchors()); again != first {
			t.Error("the certificate was verified again")
		}
		time.Sleep(time.Minute + time.Second)
		if late, reason := p.identify(conn, state, anchors); late != nil || reason != hasExpired {
			t.Errorf("after its end: got %v, %q", late, reason)
		}
	})
}
