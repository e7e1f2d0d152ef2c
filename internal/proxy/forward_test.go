package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// requestLines is a backend that answers with the first line and the headers
// it received, byte for byte.
func requestLines(t testing.TB) Backend {
	return rawBackend(t, func(conn net.Conn) {
		var head strings.Builder
		for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
			head.WriteString(lines.Text() + "\n")
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.String())
	})
}

// Targets that net/url or net/http would rather have different.
var oddTargets = []string{
	"/",
	"/plain",
	"/?",
	"/a?b=1;c=2",
	"/a?b=%zz&c=%",
	"/a?a=1&a=2&&=",
	"/a??",
	"/a?b#c",
	"/a#b?c",
	"//double//slash/",
	"///",
	"/encoded%2Fslash/%2e%2E/x",
	"/dot/./../segments",
	"/%41%7e%2f",
	"/quote\"'<>|\\^`{}",
	"/ümlaut?ü=ü",
	"/[v6]:;=,@!$&'()*+",
	"/semi;colon;v=1.1",
	"/a?q=\"<>\\^`{|}",
	"/trailing/",
	"//a\"b",
	"/+%20+?a+b%20c",
	"*",
}

func TestTargetIsUnchanged(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: requestLines(t)})
	for _, target := range oddTargets {
		res := f.raw(t, "app.localhost", "OPTIONS "+target+" HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
		got, _, _ := strings.Cut(readAll(t, res.Body), "\n")
		if want := "OPTIONS " + target + " HTTP/1.1"; got != want {
			t.Errorf("h1: got %q, want %q", got, want)
		}
		if target == "*" {
			continue
		}
		got, _, _ = strings.Cut(string(f.rawH2(t, target)), "\n")
		if want := "GET " + target + " HTTP/1.1"; got != want {
			t.Errorf("h2: got %q, want %q", got, want)
		}
	}
	res := f.raw(t, "app.localhost", "GET http://app.localhost/abs%2F?x HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
	if got, _, _ := strings.Cut(readAll(t, res.Body), "\n"); got != "GET /abs%2F?x HTTP/1.1" {
		t.Errorf("absolute form: got %q", got)
	}
	for _, target := range []string{"http:evil", "http:.evil/", "app.localhost/x"} {
		res := f.raw(t, "app.localhost", "GET "+target+" HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
		if res.StatusCode != 400 {
			t.Errorf("target %q: got %d, want 400", target, res.StatusCode)
		}
	}
}

// A space in an HTTP/2 path must not become the end of an HTTP/1.1 target.
func TestSpaceInTarget(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the backend saw %q", r.RequestURI)
	})})
	for _, target := range []string{"/a b", "/a?b c", "/ HTTP/1.1"} {
		if got := string(f.rawH2(t, target)); !strings.Contains(got, "cannot be routed") {
			t.Errorf("%q: got %q, want a refusal", target, got)
		}
	}
}

// rawH2 sends a GET with path as it is, and returns the response's body.
func (f *fixture) rawH2(t *testing.T, path string) []byte {
	t.Helper()
	conn := f.connectH2(t, "app.localhost")
	conn.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path", path)
	var body []byte
	for {
		frame, err := conn.ReadFrame()
		if err != nil {
			t.Fatalf("path %q: %v", path, err)
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			body = append(body, frame.Data()...)
		case *http2.RSTStreamFrame:
			t.Fatalf("path %q: got RST_STREAM %v", path, frame.ErrCode)
		}
		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return body
		}
	}
}

// An h2conn is a hand-driven HTTP/2 connection.
type h2conn struct {
	*http2.Framer
	t        testing.TB
	tls      *tls.Conn
	settings *http2.SettingsFrame // of the server
}

func (f *fixture) connectH2(t testing.TB, name string) *h2conn {
	t.Helper()
	conn := f.connect(t, name, "h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &h2conn{Framer: http2.NewFramer(conn, conn), t: t, tls: conn}
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := c.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	var ok bool
	if c.settings, ok = frame.(*http2.SettingsFrame); !ok {
		t.Fatalf("got frame %v first, want SETTINGS", frame)
	}
	return c
}

func (c *h2conn) request(stream uint32, end bool, fields ...string) {
	c.t.Helper()
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	err := c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: []byte(block.String()), EndStream: end, EndHeaders: true,
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestNothingIsCompressed(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "asked for %q", r.Header["Accept-Encoding"])
	})})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		if res, body := get(t, client, f.url("app.localhost", "/")); body != "asked for []" || res.Uncompressed {
			t.Errorf("got %q", body)
		}
		res, body := get(t, client, f.url("app.localhost", "/"), "Accept-Encoding", "br, gzip")
		if body != `asked for ["br, gzip"]` || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("got %q, encoding %q", body, res.Header.Get("Content-Encoding"))
		}
	})
}

func TestBodies(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		io.Copy(w, r.Body)
	})})
	big := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for _, test := range []struct {
			name, body string
			sized      bool
			want       string
		}{
			{"small", "hello", true, "5"},
			{"big", big, true, fmt.Sprint(len(big))},
			{"chunked", big, false, "-1"},
			{"none", "", true, "0"},
		} {
			var body io.Reader = strings.NewReader(test.body)
			if !test.sized {
				body = io.MultiReader(body)
			}
			res := do(t, client, newRequest(t, "PUT", f.url("app.localhost", "/"), body))
			if got := readAll(t, res.Body); got != test.body {
				t.Errorf("%s: got %d bytes, want %d", test.name, len(got), len(test.body))
			}
			if got := res.Header.Get("X-Length"); got != test.want {
				t.Errorf("%s: backend saw length %s, want %s", test.name, got, test.want)
			}
		}
	})
}

func TestTrailers(t *testing.T) {
	requestTrailer := make(chan http.Header, 1)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		requestTrailer <- r.Trailer.Clone()
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	})})
	both(t, func(t *testing.T, protocol string) {
		body, w := io.Pipe()
		req := newRequest(t, "POST", f.url("app.localhost", "/"), body, "Te", "trailers")
		req.Trailer = http.Header{"X-Up": nil, "X-Forwarded-For": nil}
		go func() {
			io.WriteString(w, "upload")
			req.Trailer["X-Up"] = []string{"3"}
			req.Trailer["X-Forwarded-For"] = []string{"forged"}
			w.Close()
		}()
		res := do(t, f.client(t, protocol), req)
		if got := readAll(t, res.Body); got != "body" {
			t.Errorf("got %q", got)
		}
		if want := (http.Header{"X-Sum": {"1"}, "X-Late": {"2"}}); !maps.EqualFunc(res.Trailer, want, slices.Equal) {
			t.Errorf("response trailers: got %v, want %v", res.Trailer, want)
		}
		got := receive(t, "the request's trailers", requestTrailer)
		if want := (http.Header{"X-Up": {"3"}}); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("request trailers: got %v, want %v", got, want)
		}
	})
}

func TestInformationalResponses(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "done")
	})})
	both(t, func(t *testing.T, protocol string) {
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, header.Get("Link")))
				return nil
			},
		})
		res := do(t, f.client(t, protocol), newRequest(t, "GET", f.url("app.localhost", "/"), nil).WithContext(ctx))
		if body := readAll(t, res.Body); body != "done" || res.StatusCode != 200 || res.Header.Get("Link") != "" {
			t.Errorf("got %d %q, Link %q", res.StatusCode, body, res.Header.Get("Link"))
		}
		if want := []string{"103</a.css>; rel=preload"}; !slices.Equal(hints, want) {
			t.Errorf("1xx: got %q, want %q", hints, want)
		}
	})
}

// The backend decides whether the body is wanted at all.
func TestExpectContinue(t *testing.T) {
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })},
		Route{Host: "app.localhost", Path: "/no", Backend: app(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413) })},
	)
	head := " HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"

	conn := f.connect(t, "app.localhost")
	io.WriteString(conn, "PUT /"+head)
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, nil)
	if err != nil || res.StatusCode != 100 {
		t.Fatalf("wanted body: got %v, %v; want 100", res, err)
	}
	io.WriteString(conn, "body")
	if res, err = http.ReadResponse(answers, nil); err != nil || readAll(t, res.Body) != "body" {
		t.Errorf("wanted body: got %v, %v; want the echo", res, err)
	}
	if res := f.raw(t, "app.localhost", "PUT /no"+head); res.StatusCode != 413 {
		t.Errorf("unwanted body: got %d, want 413 at once", res.StatusCode)
	}
}

func TestHeadAndEmptyResponses(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "HEAD" {
			w.Header().Set("Content-Length", "1234")
			return
		}
		var status int
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
	})})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		if res := do(t, client, newRequest(t, "HEAD", f.url("app.localhost", "/"), nil)); res.ContentLength != 1234 {
			t.Errorf("HEAD: got length %d, want 1234", res.ContentLength)
		}
		for _, status := range []int{204, 205, 304, 404, 500} {
			res, body := get(t, client, f.url("app.localhost", fmt.Sprint("/", status)))
			if res.StatusCode != status || body != "" {
				t.Errorf("got %d %q, want an empty %d", res.StatusCode, body, status)
			}
		}
	})
}

func TestConnectIsRefused(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(http.ResponseWriter, *http.Request) {
		t.Error("CONNECT has reached the backend")
	})})
	for _, target := range []string{"app.localhost:443", "bank.example:443", "/"} {
		res := f.raw(t, "app.localhost", "CONNECT "+target+" HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
		if body := readAll(t, res.Body); res.StatusCode != 501 || !res.Close || !strings.Contains(body, "HTTPS_PROXY") {
			t.Errorf("CONNECT %s: got %d %q, close %t; want 501, an explanation and the end", target, res.StatusCode, body, res.Close)
		}
	}
}

// When the client leaves, the backend learns of it.
func TestClientCancelReachesBackend(t *testing.T) {
	started, ended := make(chan bool), make(chan bool)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/before":
			return
		case "/streaming":
			w.(http.Flusher).Flush()
		}
		started <- true
		<-r.Context().Done()
		ended <- true
	})})
	f.access.Store(true)
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for _, path := range []string{"/waiting", "/streaming"} {
			get(t, client, f.url("app.localhost", "/before")) // whose connections are used again
			ctx, cancel := context.WithCancel(t.Context())
			failed, responded := make(chan error), make(chan bool, 1)
			go func() {
				res, err := client.Do(newRequest(t, "GET", f.url("app.localhost", path), nil).WithContext(ctx))
				if err == nil {
					defer res.Body.Close()
					responded <- true
					_, err = io.ReadAll(res.Body)
				}
				failed <- err
			}()
			receive(t, "the request at the backend", started)
			if path == "/streaming" {
				receive(t, "the head of the response", responded)
			}
			cancel()
			receive(t, "the cancel at the backend", ended)
			if err := receive(t, "the client's error", failed); err == nil {
				t.Errorf("%s: got no error from a cancelled request", path)
			}
		}
	})
	eventually(t, "eight access lines", func() bool { return f.logs.FilterMessage("request").Len() == 8 })
	for _, line := range f.logs.FilterMessage("request").All() {
		fields := line.ContextMap()
		if want := map[string]int64{"/before": 200, "/waiting": statusClientClosed, "/streaming": 200}[fields["path"].(string)]; fields["status"] != want {
			t.Errorf("%s: logged status %v, want %d", fields["path"], fields["status"], want)
		}
	}
	if f.logs.FilterMessage("backend failed").Len() > 0 {
		t.Error("a client that left is logged as a failure of the backend")
	}
}

// A request that comes while another is under way is answered after it.
func TestPipelining(t *testing.T) {
	started, answer := make(chan bool), make(chan bool)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- true
			<-answer
		}
		io.WriteString(w, r.URL.Path)
	})})
	conn := f.connect(t, "app.localhost", "http/1.1")
	responses := bufio.NewReader(conn)
	read := func() string {
		t.Helper()
		res, err := http.ReadResponse(responses, nil)
		if err != nil {
			t.Fatal(err)
		}
		return readAll(t, res.Body)
	}
	request := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: app.localhost\r\n\r\n" }
	for range 3 {
		io.WriteString(conn, request("/slow"))
		receive(t, "the first request", started)
		io.WriteString(conn, request("/a")+request("/b"))
		answer <- true
		for _, want := range []string{"/slow", "/a", "/b"} {
			if got := read(); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
}

// A malformed body is the client's fault.
func TestBrokenRequestBody(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })})
	res := f.raw(t, "app.localhost", "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
	if res.StatusCode != 400 {
		t.Errorf("got %d, want 400", res.StatusCode)
	}
}

// Of a head that is none nothing comes with the page that stands for it.
func TestPageHasNoBackendHeaders(t *testing.T) {
	both(t, func(t *testing.T, protocol string) {
		f := start(t, Route{Host: "app.localhost", Path: "/",
			Backend: answersEarly(t, "HTTP/1.1 200 OK\r\nX-Stray: yes\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx")})
		res, _ := get(t, f.client(t, protocol), f.url("app.localhost", "/"))
		if res.StatusCode != http.StatusBadGateway || res.Header["X-Stray"] != nil {
			t.Errorf("got %d with %v", res.StatusCode, res.Header)
		}
	})
}
