package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// answers is a backend that sends response for each request, then closes.
func answers(t testing.TB, response string) Backend {
	return rawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, response)
		}
	})
}

// No status that a backend sends makes a handler panic.
func TestImpossibleStatus(t *testing.T) {
	statuses := []string{"000", "007", "099"}
	var routes []Route
	for _, status := range statuses {
		routes = append(routes, Route{Host: "app.localhost", Path: "/" + status, Backend: answers(t, "HTTP/1.1 "+status+" X\r\nContent-Length: 0\r\n\r\n")})
	}
	routes = append(routes, Route{Host: "app.localhost", Path: "/999", Backend: answers(t, "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n")})
	f := start(t, routes...)
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for _, status := range statuses {
			if res, body := get(t, client, f.url("app.localhost", "/"+status)); res.StatusCode != 502 || !strings.Contains(body, "no valid HTTP response") {
				t.Errorf("%s: got %d %q, want 502", status, res.StatusCode, body)
			}
		}
		if res, _ := get(t, client, f.url("app.localhost", "/999")); res.StatusCode != 999 {
			t.Errorf("999: got %d", res.StatusCode)
		}
	})
	if got := f.logs.FilterLevelExact(zapcore.ErrorLevel).Len(); got > 0 {
		t.Errorf("got %d errors in the log", got)
	}
}

// Neither informational responses nor trailers carry what responses may not.
func TestHeadersToClientElsewhere(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: answers(t, "HTTP/1.1 103 Early Hints\r\n"+
		"Strict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\":443\"\r\nLink: </a>\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Alt-Svc, X-Sum\r\n\r\n"+
		"0\r\nAlt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\nX-Sum: 1\r\nX-Late: 2\r\n\r\n")})
	both(t, func(t *testing.T, protocol string) {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, header))
			return nil
		}}
		req := newRequest(t, "GET", f.url("app.localhost", "/"), nil)
		res := do(t, f.client(t, protocol), req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
		readAll(t, res.Body)
		if want := []string{"103 map[Link:[</a>]]"}; !slices.Equal(hints, want) {
			t.Errorf("1xx: got %q, want %q", hints, want)
		}
		for _, name := range []string{"Strict-Transport-Security", "Alt-Svc"} {
			if got := res.Trailer.Get(name); got != "" {
				t.Errorf("trailer %s: %q has reached the client", name, got)
			}
		}
		if res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("X-Late") != "2" {
			t.Errorf("got trailers %v, want the others", res.Trailer)
		}
	})
}

// A backend cannot keep a client busy with informational responses alone.
func TestEndlessInformationalResponses(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: rawBackend(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n"); err != nil {
				return
			}
		}
	})})
	both(t, func(t *testing.T, protocol string) {
		trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil }}
		req := newRequest(t, "GET", f.url("app.localhost", "/"), nil)
		if res := do(t, f.client(t, protocol), req.WithContext(httptrace.WithClientTrace(t.Context(), trace))); res.StatusCode != 502 {
			t.Errorf("got %d, want 502", res.StatusCode)
		}
	})
}

// A response that breaks off before the first byte of its body has begun all
// the same: a client that gets nothing may send the request again.
func TestHeadOfBrokenResponse(t *testing.T) {
	const attempts = 50 // net/http would flush the head, too, but in its own time
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: answers(t, "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for range attempts {
			res := do(t, client, newRequest(t, "POST", f.url("app.localhost", "/"), nil))
			if body, err := io.ReadAll(res.Body); res.StatusCode != 201 || err == nil {
				t.Fatalf("got %d %q, %v; want 201 and a broken body", res.StatusCode, body, err)
			}
		}
	})
}

// What only HTTP/2 can carry is refused before it is an HTTP/1.1 request.
func TestHostileH2(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the backend saw %s %s", r.Method, r.Host)
	})})
	for _, test := range []struct{ method, authority string }{
		{"GET /x", "app.localhost"},
		{"GE\"T", "app.localhost"},
		{"GÉT", "app.localhost"},
		{"GET", "APP。localhost"},
		{"GET", "app\uff0elocalhost"},
		{"GET", "app.localhost:65536"},
	} {
		conn := f.connectH2(t, "app.localhost")
		conn.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		conn.request(1, true, ":method", test.method, ":scheme", "https", ":authority", test.authority, ":path", "/")
		for status := ""; status == ""; {
			frame, err := conn.ReadFrame()
			if err != nil {
				t.Fatalf("%q at %q: %v", test.method, test.authority, err)
			}
			switch frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				if status = frame.PseudoValue("status"); status != "400" {
					t.Errorf("%q at %q: got %s, want 400", test.method, test.authority, status)
				}
			case *http2.RSTStreamFrame:
				status = "refused by net/http, which is as good"
			}
		}
	}
}

// Names that an app could take for a header that frames the request.
func TestFramingHeadersInDisguise(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: requestLines(t)})
	res := f.raw(t, "app.localhost", "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n"+
		"Content_Length: 7\r\ncontent.length: 7\r\nTransfer_Encoding: 7\r\nContent_Type: 7\r\nHost_: kept\r\nContent_Lengths: kept\r\nTe: trailers\r\n\r\n{}")
	got := readAll(t, res.Body)
	if strings.Contains(got, ": 7\n") || strings.Count(got, ": kept\n") != 2 {
		t.Errorf("got %q, want none of those", got)
	}
	for _, want := range []string{"Content-Length: 2\n", "Content-Type: text/plain\n", "Te: trailers\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

func TestLongPathIsCutInLog(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, says("x"))})
	f.access.Store(true)
	get(t, f.client(t, "h2"), f.url("app.localhost", "/"+strings.Repeat("a", 200<<10)))
	eventually(t, "the access line", func() bool { return f.logs.FilterMessage("request").Len() == 1 })
	path := f.logs.FilterMessage("request").All()[0].ContextMap()["path"].(string)
	if len(path) > loggedBytes+len("…") || !strings.HasPrefix(path, "/aaa") || !strings.HasSuffix(path, "a…") {
		t.Errorf("got a path of %d bytes", len(path))
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"/234567890", "/234567890"},
		{"/2345678901", "/234567890…"},
		{"/234567%C3x", "/234567%C3…"},
		{"/2345678%C3", "/2345678…"},
		{"/23456789%C3", "/23456789…"},
		{"/234567ü8901", "/234567ü8…"},
		{"/23456789ü1", "/23456789…"},
		{"/23456😀901", "/23456😀…"},
		{"/2345678😀1", "/2345678…"},
		{strings.Repeat("\x80", 30), strings.Repeat("\x80", 7) + "…"}, // no text at all
	} {
		if got := cut(test.in, 10); got != test.want || utf8.ValidString(test.in) != utf8.ValidString(got) {
			t.Errorf("cut(%q): got %q, want %q", test.in, got, test.want)
		}
	}
}
