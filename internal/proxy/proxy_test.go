package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"devproxy/internal/hostname"
)

const (
	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

// patience bounds what must happen soon; a test that waits that long fails.
const patience = 10 * time.Second

// authority is the certificate authority of these tests.
var authority = sync.OnceValue(func() *testCA {
	ca := &testCA{key: newKey()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	template.Subject.CommonName = "proxy tests"
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	if err != nil {
		panic(err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	ca.pool = x509.NewCertPool()
	ca.pool.AddCert(ca.cert)
	return ca
})

type testCA struct {
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	pool   *x509.CertPool
	leaves sync.Map // by name
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// leaf returns a certificate for name, or for loopback addresses if it is "".
func (ca *testCA) leaf(name string) (*tls.Certificate, error) {
	if leaf, ok := ca.leaves.Load(name); ok {
		return leaf.(*tls.Certificate), nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name == "" {
		template.IPAddresses = []net.IP{net.ParseIP(loopback4), net.ParseIP(loopback6)}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &ca.key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	leaf := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.key}
	ca.leaves.Store(name, leaf)
	return leaf, nil
}

// A fixture is a proxy that serves on a loopback port.
type fixture struct {
	*Proxy
	addr   netip.AddrPort
	table  *Table
	access atomic.Bool
	logs   *observer.ObservedLogs
}

func start(t testing.TB, routes ...Route) *fixture {
	t.Helper()
	return startConfigured(t, func(*Config) {}, routes...)
}

// startConfigured is start with a Config that change has its way with.
func startConfigured(t testing.TB, change func(*Config), routes ...Route) *fixture {
	t.Helper()
	table, err := NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{table: table}
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	cfg := Config{
		Table: table,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "" {
				return authority().leaf("")
			}
			name, err := hostname.Normalize(hello.ServerName)
			if err != nil || !table.Covers(name) {
				return nil, nil
			}
			return authority().leaf(name)
		},
		AccessLog: f.access.Load,
		Logger:    zap.New(core),
	}
	change(&cfg)
	if f.Proxy, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ln := listen(t, loopback4)
	f.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	served := make(chan error, 1)
	go func() { served <- f.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return f
}

func listen(t testing.TB, host string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		if host == loopback6 {
			t.Skipf("no IPv6: %v", err)
		}
		t.Fatal(err)
	}
	return ln
}

// dial connects to the proxy whatever the address says.
func (f *fixture) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", f.addr.String())
}

// client returns a client that speaks "h1" or "h2" only, and reaches the
// proxy under any name.
func (f *fixture) client(t testing.TB, protocol string) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == "h1")
	protocols.SetHTTP2(protocol == "h2")
	transport := &http.Transport{
		DialContext:         f.dial,
		TLSClientConfig:     &tls.Config{RootCAs: authority().pool},
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 100,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// connect opens a TLS connection for name without HTTP on top.
func (f *fixture) connect(t testing.TB, name string, alpn ...string) *tls.Conn {
	t.Helper()
	cfg := &tls.Config{RootCAs: authority().pool, ServerName: name, NextProtos: alpn}
	if name == "" {
		// crypto/tls sends no SNI for an address.
		cfg.ServerName = f.addr.Addr().String()
	}
	conn, err := tls.Dial("tcp", f.addr.String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// raw sends text over a new HTTP/1.1 connection for name and returns the response.
func (f *fixture) raw(t testing.TB, name, text string) *http.Response {
	t.Helper()
	conn := f.connect(t, name)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// url returns the https URL of host on the proxy's port.
func (f *fixture) url(host, path string) string { return httpsURL(host, f.addr.Port(), path) }

func newRequest(t testing.TB, method, url string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1])
	}
	return req
}

func do(t testing.TB, client *http.Client, req *http.Request) *http.Response {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func get(t testing.TB, client *http.Client, url string, header ...string) (*http.Response, string) {
	t.Helper()
	res := do(t, client, newRequest(t, "GET", url, nil, header...))
	return res, readAll(t, res.Body)
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// backend starts a plain HTTP server and returns a route's backend for it.
func app(t testing.TB, handler http.HandlerFunc) Backend {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return at(srv.Listener.Addr().String())
}

// rawBackend answers each connection with serve.
func rawBackend(t testing.TB, serve func(net.Conn)) Backend {
	t.Helper()
	ln := listen(t, loopback4)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	return at(ln.Addr().String())
}

func at(hostport string) Backend {
	u := &url.URL{Scheme: "http", Host: hostport}
	return Backend{URL: u, Name: u.String()}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) }
}

// eventually waits for something that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

func both(t *testing.T, test func(t *testing.T, protocol string)) {
	for _, protocol := range []string{"h1", "h2"} {
		t.Run(protocol, func(t *testing.T) { test(t, protocol) })
	}
}

func TestNewRefuses(t *testing.T) {
	table, err := NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }
	for name, cfg := range map[string]Config{
		"no table":        {GetCertificate: cert},
		"no certificates": {Table: table},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := New(Config{Table: table, GetCertificate: cert}); err != nil {
		t.Errorf("least config: got %v", err)
	}
}

// A handler in this process sees the request and the TLS state as they are.
func TestHandlerBackend(t *testing.T) {
	var saw *http.Request
	handler := func(w http.ResponseWriter, r *http.Request) {
		saw = r
		io.WriteString(w, "<p>hello")
	}
	f := start(t, Route{Host: "hello.localhost", Path: "/", Backend: Backend{Handler: http.HandlerFunc(handler), Name: "builtin:hello"}})
	both(t, func(t *testing.T, protocol string) {
		res, body := get(t, f.client(t, protocol), f.url("hello.localhost", "/x"), "X-Forwarded-For", "192.0.2.1")
		if body != "<p>hello" || res.StatusCode != 200 {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
		if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
			t.Errorf("Content-Type: got %q, want what net/http sniffs", got)
		}
		if saw.TLS == nil || saw.TLS.ServerName != "hello.localhost" || saw.Header.Get("X-Forwarded-For") != "192.0.2.1" {
			t.Errorf("handler saw TLS %+v, header %v", saw.TLS, saw.Header)
		}
	})
}

func TestUnknownNameGetsNoCertificate(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: at("127.0.0.1:1")})
	_, err := tls.Dial("tcp", f.addr.String(), &tls.Config{RootCAs: authority().pool, ServerName: "bank.example"})
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		t.Fatalf("got alert %v", alert)
	}
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("got %v, want the alert unrecognized_name", err)
	}
	eventually(t, "the handshake error in the log, at debug", func() bool {
		lines := f.logs.FilterMessage("http server").All()
		return len(lines) > 0 && lines[0].Level == zapcore.DebugLevel
	})
}
