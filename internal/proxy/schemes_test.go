package proxy

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// schemes are the ways to reach a backend; "https1" is one that does not offer HTTP/2.
var schemes = []string{"http", "h2c", "https", "https1", "unix"}

// appAt is app for a backend of any scheme.
func appAt(t testing.TB, scheme string, handler http.HandlerFunc) Backend {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(srv.Close)
	switch scheme {
	case "https", "https1":
		srv.EnableHTTP2 = scheme == "https"
		srv.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		return Backend{URL: mustURL(t, srv.URL), Name: srv.URL, Roots: func() *x509.CertPool { return roots }}
	case "unix":
		path := filepath.Join(t.TempDir(), "app.sock")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		srv.Listener.Close()
		srv.Listener = ln
		srv.Start()
		return Backend{URL: &url.URL{Scheme: "unix", Path: path}, Name: "unix:" + path}
	case "h2c":
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	srv.Start()
	u := &url.URL{Scheme: scheme, Host: srv.Listener.Addr().String()}
	return Backend{URL: u, Name: u.String()}
}

// Whatever way leads to the backend, the client notices nothing of it.
func TestEveryScheme(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			want := map[string]string{"h2c": "HTTP/2.0", "https": "HTTP/2.0"}[scheme]
			if want == "" {
				want = "HTTP/1.1"
			}
			cancelled := make(chan bool, 1)
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: appAt(t, scheme, func(w http.ResponseWriter, r *http.Request) {
				if r.Proto != want || r.Host != "app.localhost:"+r.Header.Get("X-Forwarded-Port") {
					t.Errorf("the backend got %s for %s", r.Proto, r.Host)
				}
				switch r.URL.Path {
				case "/trailers":
					io.Copy(io.Discard, r.Body)
					w.Header().Set("Trailer", "X-Sum")
					fmt.Fprint(w, r.Trailer)
					w.Header().Set("X-Sum", "1")
					w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
				case "/hints":
					w.Header().Set("Link", "</a>")
					w.WriteHeader(http.StatusEarlyHints)
				case "/refuse":
					w.WriteHeader(413)
				case "/echo":
					io.Copy(w, r.Body)
				case "/wait":
					w.(http.Flusher).Flush()
					<-r.Context().Done()
					cancelled <- true
				}
			})})
			both(t, func(t *testing.T, protocol string) {
				client := f.client(t, protocol)

				req := newRequest(t, "POST", f.url("app.localhost", "/trailers"), nil, "Te", "trailers")
				req.Trailer = http.Header{"X-Up": nil}
				body, w := io.Pipe()
				req.Body, req.ContentLength = body, -1
				go func() {
					io.WriteString(w, "x")
					req.Trailer["X-Up"] = []string{"3"}
					w.Close()
				}()
				res := do(t, client, req)
				if got := readAll(t, res.Body); got != "map[X-Up:[3]]" {
					t.Errorf("request trailers: got %s", got)
				}
				if want := (http.Header{"X-Sum": {"1"}, "Grpc-Status": {"0"}}); !maps.EqualFunc(res.Trailer, want, slices.Equal) {
					t.Errorf("response trailers: got %v, want %v", res.Trailer, want)
				}

				var hints []string
				trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
					hints = append(hints, fmt.Sprint(code, " ", header["Link"]))
					return nil
				}}
				req = newRequest(t, "GET", f.url("app.localhost", "/hints"), nil)
				do(t, client, req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
				if want := []string{"103 [</a>]"}; !slices.Equal(hints, want) {
					t.Errorf("1xx: got %q, want %q", hints, want)
				}

				big := strings.Repeat("0123456789", 1<<17)
				res = do(t, client, newRequest(t, "PUT", f.url("app.localhost", "/echo"), strings.NewReader(big)))
				if got := readAll(t, res.Body); got != big {
					t.Errorf("echo: got %d bytes, want %d", len(got), len(big))
				}

				ctx, cancel := context.WithCancel(t.Context())
				res = do(t, client, newRequest(t, "GET", f.url("app.localhost", "/wait"), nil).WithContext(ctx))
				if res.StatusCode != 200 {
					t.Errorf("stream: got %d", res.StatusCode)
				}
				cancel()
				receive(t, "the cancel at the backend", cancelled)
			})

			head := " HTTP/1.1\r\nHost: app.localhost:" + fmt.Sprint(f.addr.Port()) + "\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
			if res := f.raw(t, "app.localhost", "PUT /refuse"+head); res.StatusCode != 413 {
				t.Errorf("unwanted body: got %d, want 413", res.StatusCode)
			}
			conn := f.connect(t, "app.localhost")
			io.WriteString(conn, "PUT /echo"+head)
			answers := bufio.NewReader(conn)
			if res, err := http.ReadResponse(answers, nil); err != nil || res.StatusCode != 100 {
				t.Fatalf("wanted body: got %v, %v; want 100", res, err)
			}
			io.WriteString(conn, "body")
			if res, err := http.ReadResponse(answers, nil); err != nil || readAll(t, res.Body) != "body" {
				t.Errorf("wanted body: got %v, %v; want the echo", res, err)
			}
		})
	}
}

// An upgraded connection goes to any backend that knows upgrades, and can be
// closed by halves.
func TestUpgradeOnEveryScheme(t *testing.T) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) {
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: appAt(t, scheme, func(w http.ResponseWriter, r *http.Request) {
				conn, in, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Errorf("%s: %v", r.Proto, err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
				all, err := io.ReadAll(in)
				fmt.Fprintf(conn, "got %s, %v", all, err)
			})})
			if scheme == "h2c" {
				res := f.raw(t, "app.localhost", upgradeHead)
				if body := readAll(t, res.Body); res.StatusCode != 502 || !strings.Contains(body, "no upgrades") {
					t.Errorf("got %d %q, want 502 and why", res.StatusCode, body)
				}
				return
			}
			conn, in := f.openSocket(t, "early")
			io.WriteString(conn, " late")
			conn.(interface{ CloseWrite() error }).CloseWrite()
			if got := readAll(t, in); got != "got early late, <nil>" {
				t.Errorf("got %q", got)
			}
		})
	}
}
