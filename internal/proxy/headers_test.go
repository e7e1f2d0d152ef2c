package proxy

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// The backend sees the browser's headers, what the proxy knows, and nothing more.
func TestHeadersToBackend(t *testing.T) {
	seen := make(chan *http.Request, 1)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })})
	port := fmt.Sprint(f.addr.Port())
	both(t, func(t *testing.T, protocol string) {
		get(t, f.client(t, protocol), f.url("app.localhost", "/"),
			"User-Agent", "", // or net/http's client adds one
			"Cookie", "a=1", "Origin", "https://app.localhost", "Referer", "https://app.localhost/x",
			"Authorization", "Bearer x", "Accept-Language", "de",
			"Proxy-Authorization", "Basic x", "Keep-Alive", "timeout=5")
		got := <-seen
		want := http.Header{
			"Cookie": {"a=1"}, "Origin": {"https://app.localhost"}, "Referer": {"https://app.localhost/x"},
			"Authorization": {"Bearer x"}, "Accept-Language": {"de"},
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Host": {"app.localhost:" + port}, "X-Forwarded-Port": {port},
			"X-Devproxy-Hops": {"app.localhost"},
		}
		if !maps.EqualFunc(got.Header, want, slices.Equal) {
			t.Errorf("headers: got %v, want %v", got.Header, want)
		}
		if got.Host != "app.localhost:"+port {
			t.Errorf("Host: got %q, want the browser's", got.Host)
		}
	})
}

// X-Forwarded-Port is where the client really connected, whatever Host says.
func TestForwardedPortIsReal(t *testing.T) {
	seen := make(chan http.Header, 1)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })})
	f.raw(t, "app.localhost", "GET / HTTP/1.1\r\nHost: app.localhost:1\r\n\r\n")
	got := receive(t, "the request", seen)
	if port := fmt.Sprint(f.addr.Port()); got.Get("X-Forwarded-Port") != port || got.Get("X-Forwarded-Host") != "app.localhost:1" {
		t.Errorf("got port %q, host %q; want %s and the Host header", got.Get("X-Forwarded-Port"), got.Get("X-Forwarded-Host"), port)
	}
}

func TestForgedHeadersAreDropped(t *testing.T) {
	seen := make(chan http.Header, 1)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })})
	forged := []string{
		"X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "x_forwarded-for", "X-Forwarded_Host", "X-Forwarded-Prefix",
		"X-Forwarded-Server", "X-Forwarded-Ssl", "X_FORWARDED_PROTO", "X.Forwarded.Proto", "X-Forwarded", "Forwarded", "FORWARDED",
		"X-Real-Ip", "X_Real_IP", "x-real_ip", "X_Devproxy_Hops", "X-Devproxy-Other",
	}
	kept := []string{"X-Forwardedness", "X-Forward", "Forwarded-By", "X-Real-Ipv6", "X_Custom", "Real-Ip"}
	head := "GET / HTTP/1.1\r\nHost: app.localhost\r\n"
	for _, name := range slices.Concat(forged, kept) {
		head += name + ": forged\r\n"
	}
	// Naming ours in Connection must not take them away either.
	head += "Connection: X-Forwarded-Proto, X-Forwarded-For, X-Custom-Hop\r\nX-Custom-Hop: 1\r\n\r\n"
	f.raw(t, "app.localhost", head)
	got := receive(t, "the request", seen)
	for name, values := range got {
		if forgeable(name) && slices.Contains(values, "forged") {
			t.Errorf("%s: forged has reached the backend", name)
		}
	}
	for _, name := range kept {
		if _, ok := got[textproto.CanonicalMIMEHeaderKey(name)]; !ok {
			t.Errorf("%s has been dropped", name)
		}
	}
	if got.Get("X-Forwarded-Proto") != "https" || got.Get("X-Forwarded-For") != "127.0.0.1" || got.Get("X-Custom-Hop") != "" {
		t.Errorf("Connection named our headers: got %v", got)
	}
}

func TestForgeable(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "x_forwarded_for": true, "X-FORWARDED-ANYTHING": true, "X.Forwarded.Proto": true,
		"X-Forwarded": true, "X_Forwarded": true, "Forwarded": true, "X-Real-Ip": true, "x_real_ip": true,
		"X-Forwardedness": false, "Forward": false, "Forwarded-For": false, "Xforwarded-For": false, "X-Real": false, "": false,
	} {
		if got := forgeable(name); got != want {
			t.Errorf("forgeable(%q): got %t, want %t", name, got, want)
		}
	}
}

// The response is the backend's but for what would outlive or bypass the proxy.
func TestHeadersToClient(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Strict-Transport-Security"] = []string{"max-age=31536000; includeSubDomains"}
		h["Alt-Svc"] = []string{`h3=":443"`}
		h["Set-Cookie"] = []string{"a=1; Domain=shop.localhost; Secure", "b=2"}
		h["Location"] = []string{"http://127.0.0.1:5000/x"}
		h["Connection"] = []string{"X-Hop"}
		h["X-Hop"] = []string{"1"}
		h["Content-Type"] = nil // or the backend's server adds one
		w.WriteHeader(302)
		io.WriteString(w, "<html>")
	})})
	both(t, func(t *testing.T, protocol string) {
		res, body := get(t, f.client(t, protocol), f.url("app.localhost", "/"))
		delete(res.Header, "Date")
		want := http.Header{
			"Set-Cookie":     {"a=1; Domain=shop.localhost; Secure", "b=2"},
			"Location":       {"http://127.0.0.1:5000/x"},
			"Content-Length": {"6"},
		}
		if res.StatusCode != 302 || body != "<html>" || !maps.EqualFunc(res.Header, want, slices.Equal) {
			t.Errorf("got %d %q %v, want 302 and %v", res.StatusCode, body, res.Header, want)
		}
	})
}

// A head of nearly 256 KiB passes; a larger one is refused, not cut.
func TestBigHeaders(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.Header.Get("Cookie")))
	})})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		const size = 250 << 10
		if res, body := get(t, client, f.url("app.localhost", "/"), "Cookie", strings.Repeat("c", size)); body != fmt.Sprint(size) {
			t.Errorf("250 KiB: got %d %q", res.StatusCode, body)
		}
		res, err := client.Do(newRequest(t, "GET", f.url("app.localhost", "/"), nil, "Cookie", strings.Repeat("c", 2*maxHeader)))
		if err == nil {
			defer res.Body.Close()
		}
		if err == nil && res.StatusCode != 431 || err != nil && protocol == "h1" {
			t.Errorf("512 KiB: got %v, %v; want a refusal", res, err)
		}
	})
}

// The type of a body is never guessed from what a backend sends; handlers of
// ours get net/http's usual help.
func TestContentTypeIsNotGuessed(t *testing.T) {
	for _, forwarded := range []bool{true, false} {
		x := &exchange{ResponseWriter: &recorder{header: make(http.Header)}, forwarded: forwarded}
		x.WriteHeader(http.StatusEarlyHints)
		if got := len(x.Header()); got != 0 {
			t.Errorf("forwarded %t: an informational response got %d headers", forwarded, got)
		}
		x.WriteHeader(http.StatusOK)
		if _, got := x.Header()["Content-Type"]; got != forwarded {
			t.Errorf("forwarded %t: guessing is switched off: %t", forwarded, got)
		}
	}
}

// A backend can say nothing of where a message ends after its body.
func TestFramingTrailers(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"2\r\nok\r\n0\r\nContent-Length: 77\r\nTransfer-Encoding: x\r\nTrailer: X-Other\r\nX-Kept: kept\r\n\r\n")})
	conn := f.connect(t, "app.localhost", "http/1.1")
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
	got := readAll(t, conn)
	if !strings.HasSuffix(got, "\r\n2\r\nok\r\n0\r\nX-Kept: kept\r\n\r\n") {
		t.Errorf("got %q, want no trailer but X-Kept", got)
	}
}
