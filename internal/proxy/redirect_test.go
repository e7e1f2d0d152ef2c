package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// redirectTo starts a redirect server and returns a function that sends it text.
func (f *fixture) redirectTo(t testing.TB, httpsPort uint16) func(text string) *http.Response {
	t.Helper()
	ln := listen(t, loopback4)
	served := make(chan error, 1)
	go func() { served <- f.ServeRedirect(ln, httpsPort) }()
	t.Cleanup(func() {
		f.redirect.Close()
		if err := <-served; err != nil {
			t.Errorf("ServeRedirect: %v", err)
		}
	})
	return func(text string) *http.Response {
		t.Helper()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, text)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
}

var redirectRoutes = []Route{
	{Host: "app.localhost", Path: "/", Backend: nowhere},
	{Host: "api.localhost", Path: "/v1", Backend: nowhere},
	{Host: "*.shop.localhost", Path: "/", Backend: nowhere},
	{Host: "xn--bcher-kva.localhost", Path: "/", Backend: nowhere},
}

func TestRedirect(t *testing.T) {
	f := start(t, redirectRoutes...)
	to443, to8443 := f.redirectTo(t, 443), f.redirectTo(t, 8443)
	for _, test := range []struct{ host, target, want string }{
		{"app.localhost", "/", "https://app.localhost/"},
		{"app.localhost:80", "/a%2Fb?c=%zz;d#e", "https://app.localhost/a%2Fb?c=%zz;d#e"},
		{"APP.Localhost.", "/?", "https://app.localhost/?"},
		{"api.localhost", "/outside", "https://api.localhost/outside"},
		{"a.b.shop.localhost", "//evil.example/x", "https://a.b.shop.localhost//evil.example/x"},
		{"XN--Bcher-kva.localhost", "/", "https://xn--bcher-kva.localhost/"},
		{"evil.example", "http://app.localhost/x?y", "https://app.localhost/x?y"},
		{"app.localhost", "http://app.localhost", "https://app.localhost/"},
		{"app.localhost", "http://app.localhost?x", "https://app.localhost/?x"},
	} {
		res := to443("POST " + test.target + " HTTP/1.1\r\nHost: " + test.host + "\r\nContent-Length: 0\r\n\r\n")
		if got := res.Header.Get("Location"); got != test.want || res.StatusCode != 307 {
			t.Errorf("Host %q, target %q: got %d %q, want 307 %q", test.host, test.target, res.StatusCode, got, test.want)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Host %q: got Cache-Control %q", test.host, got)
		}
	}
	if got := to8443("GET /x HTTP/1.1\r\nHost: app.localhost:8080\r\n\r\n").Header.Get("Location"); got != "https://app.localhost:8443/x" {
		t.Errorf("other port: got %q", got)
	}
}

// Whatever a client says, it is never sent to a host that has no route.
func TestRedirectIsNotOpen(t *testing.T) {
	f := start(t, redirectRoutes...)
	send := f.redirectTo(t, 443)
	for _, test := range []struct{ host, target string }{
		{"evil.example", "/"},
		{"localhost", "/"},
		{"shop.localhost", "/"},
		{"127.0.0.1", "/"},
		{"[::1]:80", "/"},
		{"", "/"},
		{"app.localhost.evil.example", "/"},
		{"evil.example/app.localhost", "/"},
		{"evil.example?app.localhost", "/"},
		{"evil.example\\.shop.localhost", "/"},
		{"evil.example@app.localhost", "/"},
		{"app.localhost@evil.example", "/"},
		{"app.localhost:80@evil.example", "/"},
		{"app.localhost:x", "/"},
		{"evil.example:.shop.localhost", "/"},
		{"evil.example%2F.shop.localhost", "/"},
		{"-.shop.localhost", "/"},
		{"app.localhost", "http://evil.example/"},
		{"app.localhost", "http:.evil.example/"},
		{"app.localhost", "http:@evil.example/"},
		{"app.localhost", "*"},
	} {
		method := "GET"
		if test.target == "*" {
			method = "OPTIONS"
		}
		res := send(method + " " + test.target + " HTTP/1.1\r\nHost: " + test.host + "\r\n\r\n")
		if res.StatusCode != 404 && res.StatusCode != 400 || res.Header.Get("Location") != "" {
			t.Errorf("Host %q, target %q: got %d %q, want 404 or 400", test.host, test.target, res.StatusCode, res.Header.Get("Location"))
		}
		if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
			t.Errorf("Host %q, target %q: got %q, want text/plain", test.host, test.target, got)
		}
	}
}

func FuzzRedirect(f *testing.F) {
	for _, host := range []string{"app.localhost", "x.shop.localhost:80", "evil.example@app.localhost", "a\\.shop.localhost"} {
		for _, target := range []string{"/", "//evil.example", "http:evil", "http://app.localhost/?", "/\\evil", "*"} {
			f.Add(host, target)
		}
	}
	table, err := NewTable(redirectRoutes)
	if err != nil {
		f.Fatal(err)
	}
	p := &Proxy{table: table}
	f.Fuzz(func(t *testing.T, host, target string) {
		r, err := readRequest("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if err != nil {
			return
		}
		w := &recorder{header: make(http.Header)}
		p.serveRedirect(w, r.WithContext(redirectContext(redirectListener{nil, 443})))
		location := w.header.Get("Location")
		if location == "" {
			return
		}
		u, err := url.Parse(location)
		if err != nil {
			// A query or path that net/url does not like; the host is what counts.
			rest, ok := strings.CutPrefix(location, "https://")
			end := strings.IndexByte(rest, '/')
			if !ok || end < 0 {
				t.Fatalf("Host %q, target %q: got %q", host, target, location)
			}
			u = &url.URL{Scheme: "https", Host: rest[:end]}
		}
		if u.Scheme != "https" || u.User != nil || table.current.Load().host(u.Host) == nil {
			t.Errorf("Host %q, target %q: sent to %q", host, target, location)
		}
	})
}

// A recorder is a ResponseWriter that keeps the header only.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
