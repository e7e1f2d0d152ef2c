package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

func TestStripPrefix(t *testing.T) {
	strip := Rules{StripPrefix: true}
	backend := requestLines(t)
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: backend, Rules: strip},
		Route{Host: "app.localhost", Path: "/api", Backend: backend, Rules: strip},
		Route{Host: "app.localhost", Path: "/kept", Backend: backend},
		Route{Host: "app.localhost", Path: "/a%20b/%C3%BC", Backend: backend, Rules: strip},
	)
	for _, test := range []struct{ target, want, prefix string }{
		{"/api", "/", "/api"},
		{"/api?q=1", "/?q=1", "/api"},
		{"/api?", "/?", "/api"},
		{"/api/", "/", "/api"},
		{"/api/x%2Fy?q", "/x%2Fy?q", "/api"},
		{"/api//x", "//x", "/api"},
		{"/api///", "///", "/api"},
		{"/api/api/x", "/api/x", "/api"},
		{"/api/%61pi", "/%61pi", "/api"},
		{"/api/../x", "/../x", "/api"},
		{"/api/\"'<>|\\^`{}", "/\"'<>|\\^`{}", "/api"},
		{"/api/ümlaut", "/ümlaut", "/api"},
		{"/apis", "/apis", ""},
		{"/%61pi/x", "/%61pi/x", ""},
		{"/kept/x", "/kept/x", ""},
		{"/a%20b/%C3%BC/c%20d", "/c%20d", "/a%20b/%C3%BC"},
	} {
		res := f.raw(t, "app.localhost", "GET "+test.target+" HTTP/1.1\r\nHost: app.localhost\r\n"+
			"X-Forwarded-Prefix: /forged\r\nX_Forwarded_Prefix: /forged\r\n\r\n")
		bodies := map[string]string{"h1": readAll(t, res.Body), "h2": string(f.rawH2(t, test.target))}
		for protocol, got := range bodies {
			line, headers, _ := strings.Cut(got, "\n")
			if want := "GET " + test.want + " HTTP/1.1"; line != want {
				t.Errorf("%s: got %q, want %q", protocol, line, want)
			}
			has := strings.Contains(headers, "X-Forwarded-Prefix: "+test.prefix+"\n")
			if has != (test.prefix != "") || strings.Contains(headers, "forged") {
				t.Errorf("%s %s: got %q, want the prefix %q", protocol, test.target, headers, test.prefix)
			}
		}
	}
}

func TestStripPrefixForHandlersAndSockets(t *testing.T) {
	shows := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q %q", r.URL.Path, r.URL.RawPath, r.URL.EscapedPath(), r.URL.RawQuery)
	})
	f := start(t,
		Route{Host: "app.localhost", Path: "/files", Backend: Backend{Handler: shows, Name: "files"}, Rules: Rules{StripPrefix: true}},
		Route{Host: "app.localhost", Path: "/ws", Backend: rawBackend(t, func(conn net.Conn) {
			line := make([]byte, len("GET / HTTP/1.1\r\n"))
			io.ReadFull(conn, line)
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nX-Line: %s\r\n\r\n", strings.TrimSpace(string(line)))
		}), Rules: Rules{StripPrefix: true}},
	)
	for path, want := range map[string]string{
		"/files/a%20b?q":  `"/a b" "" "/a%20b" "q"`,
		"/files/x%2Fy/?q": `"/x/y/" "/x%2Fy/" "/x%2Fy/" "q"`,
		"/files//x":       `"//x" "" "//x" ""`,
	} {
		if _, got := get(t, f.client(t, "h1"), f.url("app.localhost", path)); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if res := f.raw(t, "app.localhost", upgradeHead); res.Header.Get("X-Line") != "GET / HTTP/1.1" {
		t.Errorf("WebSocket: got %d %v", res.StatusCode, res.Header)
	}
}

func TestRequestRules(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: requestLines(t), Rules: Rules{
		SendHost: "shop.example:8080",
		Request: HeaderRules{
			Set:    map[string]string{"X-Set": "ours", "X-New": "new", "Origin": "https://shop.example"},
			Remove: []string{"X-Removed", "Cookie"},
		},
	}})
	both(t, func(t *testing.T, protocol string) {
		_, got := get(t, f.client(t, protocol), f.url("app.localhost", "/"),
			"X-Set", "theirs", "X-Set", "again", "X-Removed", "1", "X-Removed", "2", "Cookie", "a=1", "X-Kept", "kept", "Referer", "https://app.localhost/x")
		lines := strings.Split(got, "\n")
		for _, want := range []string{
			"Host: shop.example:8080", "X-Forwarded-Host: " + strings.TrimPrefix(f.url("app.localhost", ""), "https://"),
			"X-Set: ours", "X-New: new", "X-Kept: kept", "Origin: https://shop.example", "Referer: https://app.localhost/x",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("the backend lacks %q in %q", want, lines)
			}
		}
		if strings.Contains(got, "theirs") || strings.Contains(got, "again") || strings.Contains(got, "Removed") || strings.Contains(got, "Cookie") {
			t.Errorf("the backend got %q", lines)
		}
	})
}

// A client gets past no rule by a name that WSGI, CGI or PHP take for that of
// the rule, nor by a trailer, which some servers add to the headers.
func TestRequestRulesFold(t *testing.T) {
	type heard struct{ header, trailer http.Header }
	seen := make(chan heard, 1)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		seen <- heard{r.Header, r.Trailer}
	}), Rules: Rules{Request: HeaderRules{
		Set:    map[string]string{"X-User": "guest", "X_token": "ours"},
		Remove: []string{"X-Admin"},
	}}})
	f.raw(t, "app.localhost", "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-User, X_Admin, X-Kept\r\n"+
		"X_User: forged\r\nx.user: forged\r\nX_ADMIN: forged\r\nX-Admin: forged\r\nX-Token: forged\r\nX-Users: kept\r\n\r\n"+
		"0\r\nX-User: forged\r\nX_Admin: forged\r\nX-Kept: kept\r\n\r\n")
	got := receive(t, "the request", seen)
	for _, h := range []http.Header{got.header, got.trailer} {
		for name, values := range h {
			if slices.Contains(values, "forged") {
				t.Errorf("%s: forged has reached the backend", name)
			}
		}
	}
	if got.header.Get("X-User") != "guest" || got.header.Get("X_token") != "ours" || got.header.Get("X-Users") != "kept" || got.trailer.Get("X-Kept") != "kept" {
		t.Errorf("got %v and the trailers %v", got.header, got.trailer)
	}
}

// All that comes from behind a route follows its rules; devproxy's own answers
// do not.
func TestResponseRules(t *testing.T) {
	rules := Rules{Response: HeaderRules{
		Set:    map[string]string{"X-Set": "ours", "Alt-Svc": "h3", "Strict-Transport-Security": "max-age=1"},
		Remove: []string{"X-Removed"},
	}}
	theirs := "X-Set: theirs\r\nX-Set: again\r\nX-Removed: 1\r\nX-Removed: 2\r\nX-Kept: kept\r\n"
	handler := func(body string) Backend {
		return Backend{Name: "handler", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-Set"] = []string{"theirs", "again"}
			w.Header()["X-Removed"] = []string{"1"}
			w.Header()["X-Kept"] = []string{"kept"}
			io.WriteString(w, body)
		})}
	}
	empty := Backend{Name: "empty", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Removed"] = []string{"1"}
		w.Header()["X-Kept"] = []string{"kept"}
	})}
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Rules: rules, Backend: answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+theirs+"\r\n")},
		Route{Host: "app.localhost", Path: "/ws", Rules: rules, Backend: answers(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+theirs+"\r\n")},
		Route{Host: "app.localhost", Path: "/handler", Rules: rules, Backend: handler("x")},
		Route{Host: "app.localhost", Path: "/empty", Rules: rules, Backend: empty},
		Route{Host: "app.localhost", Path: "/down", Rules: rules, Backend: at("127.0.0.1:" + closedPort(t))},
		Route{Host: "app.localhost", Path: "/hints", Rules: rules, Backend: answers(t, "HTTP/1.1 103 Early Hints\r\n"+theirs+"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
	)
	check := func(t *testing.T, what string, h http.Header) {
		t.Helper()
		if got := h["X-Set"]; !slices.Equal(got, []string{"ours"}) || h["X-Removed"] != nil || h.Get("X-Kept") != "kept" {
			t.Errorf("%s: got %v", what, h)
		}
		if h["Alt-Svc"] != nil || h["Strict-Transport-Security"] != nil {
			t.Errorf("%s: got %v, want neither Alt-Svc nor HSTS", what, h)
		}
	}
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for _, path := range []string{"/", "/handler", "/empty"} {
			res, _ := get(t, client, f.url("app.localhost", path))
			check(t, path, res.Header)
		}
		if res, _ := get(t, client, f.url("app.localhost", "/down")); res.StatusCode != 503 || res.Header["X-Set"] != nil {
			t.Errorf("own page: got %d %v", res.StatusCode, res.Header)
		}
		var hints textproto.MIMEHeader
		trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, header textproto.MIMEHeader) error { hints = header; return nil }}
		req := newRequest(t, "GET", f.url("app.localhost", "/hints"), nil)
		do(t, client, req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
		if hints["X-Removed"] != nil || hints.Get("X-Kept") != "kept" || !slices.Equal(hints["X-Set"], []string{"theirs", "again"}) {
			t.Errorf("1xx: got %v, want what is removed to be so there, too", hints)
		}
	})
	check(t, "/ws", f.raw(t, "app.localhost", upgradeHead).Header)
}

func TestKeepHSTS(t *testing.T) {
	const hsts = "Strict-Transport-Security"
	backend := answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"+hsts+": max-age=1\r\nAlt-Svc: h3\r\nTrailer: "+hsts+"\r\n\r\n"+
		"0\r\n"+hsts+": max-age=2\r\nAlt-Svc: h3\r\n\r\n")
	handler := Backend{Name: "handler", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(hsts, "max-age=1")
		w.Header().Set("Alt-Svc", "h3")
	})}
	f := start(t,
		Route{Host: "app.localhost", Path: "/keep", Backend: backend, Rules: Rules{KeepHSTS: true}},
		Route{Host: "app.localhost", Path: "/strip", Backend: backend},
		Route{Host: "app.localhost", Path: "/handler/keep", Backend: handler, Rules: Rules{KeepHSTS: true}},
		Route{Host: "app.localhost", Path: "/handler/strip", Backend: handler},
	)
	both(t, func(t *testing.T, protocol string) {
		for path, want := range map[string][2]string{
			"/keep": {"max-age=1", "max-age=2"}, "/strip": {}, "/handler/keep": {"max-age=1"}, "/handler/strip": {},
		} {
			res, _ := get(t, f.client(t, protocol), f.url("app.localhost", path))
			if got := [2]string{res.Header.Get(hsts), res.Trailer.Get(hsts)}; got != want {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
			if res.Header["Alt-Svc"] != nil || res.Trailer["Alt-Svc"] != nil {
				t.Errorf("%s: Alt-Svc has reached the client", path)
			}
		}
	})
}

// A handler below a stripped prefix sees paths of its own, and the browser is
// at a folder when it shows what is there.
func TestHandlerBelowPrefix(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path+" "+r.URL.EscapedPath())
	})
	f := start(t, Route{Host: "app.localhost", Path: "/a/docs", Backend: Backend{Handler: h}, Rules: Rules{StripPrefix: true}})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for path, want := range map[string]string{
			"/a/docs/":        "/ /",
			"/a/docs/x/y.css": "/x/y.css /x/y.css",
			"/a/docs/x%2Fy":   "/x/y /x%2Fy",
			"/a/docs//z":      "//z //z",
			"/a/docs/%20":     "/  /%20",
		} {
			if _, got := get(t, client, f.url("app.localhost", path)); got != want {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
	})
	res := f.raw(t, "app.localhost", "GET /a/docs?x=1 HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
	if res.StatusCode != 307 || res.Header.Get("Location") != "./docs/?x=1" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the prefix itself: got %d to %q, %q", res.StatusCode, res.Header.Get("Location"), res.Header.Get("Cache-Control"))
	}
}
