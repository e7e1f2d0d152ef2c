package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
	"devproxy/internal/proxy"
)

// TestRevokedOnAnOpenConnection revokes a certificate that is in use: its
// stream ends, and its connection is open but of no use.
func TestRevokedOnAnOpenConnection(t *testing.T) {
	const host = "admin.localhost"
	f := newRevocable(t, "")
	anchors := proxy.NewAnchors([]*x509.Certificate{f.ca.Root()}, []*x509.Certificate{f.ca.Intermediate()})
	table, err := proxy.NewTable([]proxy.Route{{
		Host: host,
		Path: "/",
		Backend: proxy.Backend{Name: "test", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "welcome")
			if r.URL.Path == "/stream" {
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		})},
		Clients: &proxy.ClientAuth{Require: true, Anchors: func() *proxy.Anchors { return anchors }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := issuer.New(f.ca, issuer.Config{Permit: permitCovered(table)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Config{Table: table, GetCertificate: leaves.GetCertificate, RefuseClient: f.refuse})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Shutdown(context.Background())
		<-served
	})

	alice, serial := f.client(t, "alice@example.com")
	bob, _ := f.client(t, "bob@example.com")
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	get := func(c *http.Client, path string) (resp *http.Response, reused bool) {
		t.Helper()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		req, err := http.NewRequestWithContext(ctx, "GET", "https://"+host+":"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err = c.Do(req); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp, reused
	}

	stream, _ := get(alice, "/stream")
	if resp, reused := get(alice, "/"); resp.StatusCode != http.StatusOK || !reused {
		t.Fatalf("before it is revoked: status %d on a new connection: %v", resp.StatusCode, !reused)
	}
	if _, err := ledger.Revoke(t.Context(), f.state, serial, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if !f.load() {
		t.Fatal("revoking changes nothing")
	}
	server.RecheckClients()
	_, err = io.ReadAll(stream.Body)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		t.Error("the stream goes on")
	}
	resp, _ := get(alice, "/")
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "it was revoked on 20") {
		t.Errorf("after it was revoked: status %d, want 403 and why:\n%s", resp.StatusCode, body)
	}
	if resp, _ := get(bob, "/"); resp.StatusCode != http.StatusOK {
		t.Errorf("another client: status %d, want 200", resp.StatusCode)
	}
}

// client issues a certificate and returns a client with it, and the serial
// number.
func (f *revocable) client(t *testing.T, name string) (*http.Client, string) {
	t.Helper()
	issued, err := f.ca.Issue(issuer.Order{Client: name, Life: 24 * time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e := entryOf(issued.Certificate, true)
	e.Issued, e.Root = time.Now(), sum(f.ca.Root())
	if err := ledger.Add(t.Context(), f.state, e, nil); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.Root())
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{{
			Certificate: [][]byte{issued.Certificate.Raw, issued.Intermediate.Raw},
			PrivateKey:  issued.Key,
		}}},
	}
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}, e.Serial
}
