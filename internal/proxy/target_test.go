package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"devproxy/internal/hostname"
)

var hostTests = []struct {
	in, want string // "" for an error
}{
	{"app.localhost", "app.localhost"},
	{"app.localhost:8443", "app.localhost"},
	{"app.localhost:", "app.localhost"},
	{"APP.localhost.:443", "app.localhost"},
	{"xn--bcher-kva.localhost", "xn--bcher-kva.localhost"},
	{"app.localhost:65535", "app.localhost"},
	{"127.0.0.1", "127.0.0.1"},
	{"127.0.0.1:443", "127.0.0.1"},
	{"[::1]", "::1"},
	{"[0::1]:443", "::1"},
	{"[::ffff:127.0.0.1]:443", "127.0.0.1"},
	{"[fe80::1%25lo]:443", "fe80::1"},
	{"1password.localhost", "1password.localhost"},
	{"", ""},
	{":443", ""},
	{"::1", ""},
	{"[]", ""},
	{"[::1", ""},
	{"[::1]x", ""},
	{"[app.localhost]", ""},
	{"app.localhost:443:443", ""},
	{"app.localhost:https", ""},
	{"app.localhost:+1", ""},
	{"app.localhost:65536", ""},
	{"app.localhost:99999999999999999999", ""},
	{"[::1]:65536", ""},
	{"bücher.localhost", ""},
	{"app。localhost", ""},
	{"app.localhost\xff", ""},
	{"app.localhost:80@evil.test", ""},
	{"user@app.localhost", ""},
	{"user:pw@app.localhost", ""},
	{"app.localhost/evil", ""},
	{"app.localhost\\evil", ""},
	{"app.localhost#evil", ""},
	{"app.localhost evil", ""},
	{"app..localhost", ""},
	{"app.localhost..", ""},
	{"*.localhost", ""},
	{"a,b", ""},
	{"127.1", "127.1"}, // a name as far as the table goes; no route can have it
	{strings.Repeat("a", 300), ""},
}

func TestNormalHost(t *testing.T) {
	s := tableOf(t, "app.localhost/")
	for _, test := range hostTests {
		got, err := s.normalHost(test.in)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("normalHost(%q): got %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func FuzzNormalHost(f *testing.F) {
	for _, test := range hostTests {
		f.Add(test.in)
	}
	s := tableOf(f, "app.localhost/")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := s.normalHost(in)
		if err != nil {
			return
		}
		if addr, err := netip.ParseAddr(got); err == nil {
			if addr.String() != got {
				t.Errorf("normalHost(%q): %q is not the canonical spelling of %v", in, got, addr)
			}
		} else if name, err := hostname.Normalize(got); err != nil || name != got {
			t.Errorf("normalHost(%q): %q is not normal: %q, %v", in, got, name, err)
		}
		if strings.ContainsAny(got, "/@\\?# \r\n%") {
			t.Errorf("normalHost(%q): %q would end the host of a URL", in, got)
		}
	})
}

func TestDirected(t *testing.T) {
	v4 := netip.MustParseAddrPort("127.0.0.1:443")
	v6 := netip.MustParseAddrPort("[::1]:443")
	mapped := netip.MustParseAddrPort("[::ffff:127.0.0.1]:443")
	for _, test := range []struct {
		sni   string
		local netip.AddrPort
		host  string
		want  bool
	}{
		{"app.localhost", v4, "app.localhost", true},
		{"APP.localhost", v4, "app.localhost", true},
		{"xn--bcher-kva.localhost", v4, "xn--bcher-kva.localhost", true},
		{"app.localhost", v4, "other.localhost", false},
		{"app.localhost", v4, "sub.app.localhost", false},
		{"app.localhost", v4, "127.0.0.1", false},
		{"", v4, "app.localhost", false},
		{"", v4, "127.0.0.1", true},
		{"", v4, "127.0.0.2", false},
		{"", v4, "::1", false},
		{"", v6, "::1", true},
		{"", mapped, "127.0.0.1", true},
		{"", netip.AddrPort{}, "127.0.0.1", false},
		{"127.0.0.1", v4, "127.0.0.1", true},
		{"127.0.0.1", v4, "app.localhost", false},
	} {
		got := directed(&tls.ConnectionState{ServerName: test.sni}, test.local, test.host)
		if got != test.want {
			t.Errorf("SNI %q at %v, host %q: got %t, want %t", test.sni, test.local, test.host, got, test.want)
		}
	}
}

// Every host but the connection's own is refused, on both protocols.
func TestForgedHost(t *testing.T) {
	contacted := app(t, func(w http.ResponseWriter, r *http.Request) {
		if host, ok := splitHost(r.Host); !ok || strings.ToLower(strings.TrimSuffix(host, ".")) != "app.localhost" {
			t.Errorf("the backend saw host %q", r.Host)
		}
	})
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: contacted}, Route{Host: "other.localhost", Path: "/", Backend: contacted})
	for _, test := range []struct {
		sni, host string
		want      int
	}{
		{"app.localhost", "app.localhost", 200},
		{"app.localhost", "app.localhost:1", 200}, // ports are ignored
		{"app.localhost", "APP.localhost.", 200},
		{"app.localhost", "other.localhost", 421},
		{"app.localhost", "evil.example", 421},
		{"app.localhost", "127.0.0.1", 421},
		{"app.localhost", "app.localhost.evil.example", 421},
		{"app.localhost", "app.localhost:443:443", 400},
		{"app.localhost", "other.localhost@app.localhost", 400},
		{"", "127.0.0.1", 404},
		{"", "app.localhost", 421},
		{"", "127.0.0.2", 421},
	} {
		res := f.raw(t, test.sni, "GET / HTTP/1.1\r\nHost: "+test.host+"\r\nConnection: close\r\n\r\n")
		if res.StatusCode != test.want {
			t.Errorf("SNI %q, Host %q: got %d, want %d", test.sni, test.host, res.StatusCode, test.want)
		}
		if body := readAll(t, res.Body); test.want == 421 && !strings.Contains(body, "This connection was opened for") {
			t.Errorf("SNI %q, Host %q: got %q, want an explanation", test.sni, test.host, body)
		}
	}
	both(t, func(t *testing.T, protocol string) {
		req := newRequest(t, "GET", f.url("app.localhost", "/"), nil)
		req.Host = "other.localhost"
		if res := do(t, f.client(t, protocol), req); res.StatusCode != 421 {
			t.Errorf("got %d, want 421", res.StatusCode)
		}
	})
	// Absolute form: the target's host counts, not the header's (RFC 9112, section 3.2.2).
	res := f.raw(t, "app.localhost", "GET https://other.localhost/ HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
	if res.StatusCode != 421 {
		t.Errorf("absolute form: got %d, want 421", res.StatusCode)
	}
}

func TestRequestPath(t *testing.T) {
	for _, test := range []struct{ target, want string }{
		{"/", "/"},
		{"/a?b", "/a"},
		{"/?", "/"},
		{"/a%2Fb%zz", ""}, // net/http refuses it
		{"/a%2Fb", "/a%2Fb"},
		{"/a\"b|c", "/a\"b|c"},
		{"/ü", "/ü"},
		{"//a//b", "//a//b"},
		{"/a#b", "/a#b"},
		{"*", "*"},
		{"http://app.localhost", "/"},
		{"http://app.localhost?x=/y", "/"},
		{"http://app.localhost/a%2Fb?c", "/a%2Fb"},
		{"http:evil", ""},
		{"http:.evil.example/", ""},
		{"mailto:a://b", ""},
		{"http:/path?://x/y", ""},
		{"http:///path", ""},
	} {
		text := "GET " + test.target + " HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
		r, err := readRequest(text)
		if err != nil {
			if test.want != "" {
				t.Errorf("%q: %v", test.target, err)
			}
			continue
		}
		if got, err := requestPath(r); got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("requestPath(%q): got %q, %v; want %q", test.target, got, err, test.want)
		}
	}
	// As HTTP/2 can deliver it.
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = "/ HTTP/1.1"
	if got, err := requestPath(r); err == nil {
		t.Errorf("target with a space: got %q", got)
	}
}

func readRequest(text string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
}

func TestHTTPSURL(t *testing.T) {
	for _, test := range []struct {
		host string
		port uint16
		want string
	}{
		{"a.test", 443, "https://a.test/x"},
		{"a.test", 8443, "https://a.test:8443/x"},
		{"::1", 8443, "https://[::1]:8443/x"},
	} {
		if got := httpsURL(test.host, test.port, "/x"); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func ExampleTable_Covers() {
	table, err := NewTable([]Route{{Host: "shop.localhost", Path: "/", Backend: Backend{Handler: http.NotFoundHandler()}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(table.Covers("shop.localhost"), table.Covers("shp.localhost"), table.Covers("bank.example"))
	// Output: true true false
}
