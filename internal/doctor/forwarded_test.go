package doctor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestScheme(t *testing.T) {
	redirect := func(to string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	page := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		path    string
		state   State
		detail  string // part
		fix     string // part
	}{
		{"page", page("hello"), "/", OK, "answers 200", ""},
		{"links to http", page(`<a href="http://shop.localhost/x">`), "/", Warn, "links to http://shop.localhost", "ProxyFix"},
		{"links to another host", page(`<a href="http://shop.localhost.example/x">`), "/", OK, "", ""},
		{"links beyond what is read", page(strings.Repeat("x", appBody) + `"http://shop.localhost/"`), "/", OK, "", ""},
		{"http, same page", redirect("http://shop.localhost:8443/"), "/", Fail, "in circles", "SECURE_PROXY_SSL_HEADER"},
		{"http, other page", redirect("http://shop.localhost/login"), "/", Warn, "redirects to http://shop.localhost", "trust proxy"},
		{"https, same page", redirect("https://shop.localhost:8443/api"), "/api", Fail, "very same https page", "assume_ssl"},
		{"https, with a query", redirect("https://shop.localhost/api?next=1"), "/api", OK, "within https", ""},
		{"https, other page", redirect("https://shop.localhost/login"), "/", OK, "within https", ""},
		{"relative", redirect("/login"), "/", OK, "without naming a scheme", ""},
		{"other host", redirect("http://sso.example/"), "/", Unknown, "another host: sso.example", ""},
		{"other host, endless", redirect("http://" + strings.Repeat("a", 9_000) + "/"), "/", Unknown, strings.Repeat("a", 200) + "…", ""},
		{"no location", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "/", OK, "answers 304", ""},
		{"Flask", redirect("http://shop.localhost/login", "Server", "Werkzeug/3.0 Python/3.11"), "/", Warn, "", "Flask: "},
		{"Django", redirect("http://shop.localhost/login", "Server", "WSGIServer/0.2"), "/", Warn, "", "Django: "},
		{"Express", redirect("http://shop.localhost/login", "X-Powered-By", "Express"), "/", Warn, "", "Express: "},
		{"Rails", redirect("http://shop.localhost/login", "X-Runtime", "0.1"), "/", Warn, "", "Rails: "},
		{"an endless page", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, "/", OK, "answers 200", ""},
		{"heeds", func(w http.ResponseWriter, r *http.Request) {
			got := []string{r.Method, r.Host, r.RequestURI}
			for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-For"} {
				got = append(got, r.Header.Get(name))
			}
			if want := "GET shop.localhost:8443 /a%20b https shop.localhost:8443 8443 127.0.0.1"; strings.Join(got, " ") != want {
				redirect("http://shop.localhost:8443/wrong")(w, r)
			}
		}, "/a%20b", OK, "answers 200", ""},
		{"nothing", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "/", Unknown, "no answer", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			backend, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			backend.Host = net.JoinHostPort("localhost", backend.Port())
			got := App{Backend: backend, Host: "shop.localhost:8443", Path: tt.path, Port: "8443"}.Scheme(t.Context())
			if got.State != tt.state || !strings.Contains(got.Detail, tt.detail) || !strings.Contains(got.Fix, tt.fix) {
				t.Errorf("got %+v, want %s, …%s…, fix …%s…", got, tt.state, tt.detail, tt.fix)
			}
		})
	}
}

// TestSchemeOfSlowApp: an app that does not answer is not waited for.
func TestSchemeOfSlowApp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	start := time.Now()
	got := App{Backend: &url.URL{Scheme: "http", Host: ln.Addr().String()}, Host: "shop.localhost", Path: "/", Port: "443"}.Scheme(t.Context())
	if got.State != Unknown || !strings.Contains(got.Detail, "no answer in time") {
		t.Errorf("got %+v, want unknown: no answer in time", got)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("waited for %v", took)
	}
}

func TestReason(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "nobody listens there (connection refused)"},
		{fmt.Errorf("x: %w", syscall.EHOSTUNREACH), "there is no way to that machine (unreachable)"},
		{&net.DNSError{Name: "app.test", IsNotFound: true}, "the name app.test is not found"},
		{&net.DNSError{Name: "app.test", IsTimeout: true}, "no answer in time"},
		{io.EOF, "the connection was closed without an answer"},
		{syscall.EACCES, "the system does not allow the connection (a firewall?)"},
		{errors.New("something else"), "something else"},
	} {
		if got := Reason(tt.err); got != tt.want {
			t.Errorf("Reason(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
