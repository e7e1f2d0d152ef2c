package proxy

import (
	"crypto/tls"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"
)

// A frontend's own proxy sends everything back to the name it came from.
func TestLoop(t *testing.T) {
	var f *fixture
	var requests atomic.Int64
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority().pool, NextProtos: []string{"http/1.1"}}}
	t.Cleanup(transport.CloseIdleConnections)
	frontend := app(t, (&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			requests.Add(1)
			pr.Out.URL.Scheme, pr.Out.URL.Host = "https", "app.localhost"
		},
	}).ServeHTTP)
	f = start(t, Route{Host: "app.localhost", Path: "/", Backend: frontend}, Route{Host: "app.localhost", Path: "/b", Backend: frontend})
	transport.DialContext = f.dial

	both(t, func(t *testing.T, protocol string) {
		requests.Store(0)
		res, body := get(t, f.client(t, protocol), f.url("app.localhost", "/"))
		chain := strings.Repeat("app.localhost → ", maxHops) + "app.localhost"
		if res.StatusCode != http.StatusLoopDetected || !strings.Contains(body, chain) || !strings.Contains(body, "changeOrigin") {
			t.Errorf("got %d %q, want 508 with %q and what to do", res.StatusCode, body, chain)
		}
		if got := requests.Load(); got != 5 {
			t.Errorf("the frontend got %d requests, want 5", got)
		}
		res, body = get(t, f.client(t, protocol), f.url("app.localhost", "/b/c"), "Accept", browser)
		if res.StatusCode != http.StatusLoopDetected || strings.Count(body, " → ") != maxHops {
			t.Errorf("page: got %d %s", res.StatusCode, body)
		}
	})
	requests.Store(0)
	if res := f.raw(t, "app.localhost", upgradeHead); res.StatusCode != http.StatusLoopDetected || requests.Load() != maxHops {
		t.Errorf("WebSocket: got %d after %d requests", res.StatusCode, requests.Load())
	}
	if n := f.logs.FilterMessage(msgLoop).Len(); n != 1 {
		t.Errorf("the log speaks of it %d times, want once a minute", n)
	}
}

// Whatever a client writes there is bounded, and shown as text.
func TestHopsFromClients(t *testing.T) {
	f := start(t, Route{Host: "app.localhost", Path: "/" + strings.Repeat("long", 100), Backend: requestLines(t)})
	path := "/" + strings.Repeat("long", 100)
	for name, hops := range map[string]string{
		"none":      "",
		"long":      strings.Repeat("x", 100_000),
		"many long": strings.Repeat(strings.Repeat("x", 10_000)+",", maxHops-2) + "y",
		"empty":     ",,",
		"bytes":     strings.Repeat("\xc3\xbc\t\xff", 1000),
		"its own":   "app.localhost, other.localhost/x",
	} {
		head := "X-Devproxy-Hops: " + hops + "\r\n"
		if name == "none" {
			head = ""
		}
		res := f.raw(t, "app.localhost", "GET "+path+" HTTP/1.1\r\nHost: app.localhost\r\nX_Devproxy_Hops: forged\r\n"+head+"\r\n")
		body := readAll(t, res.Body)
		if res.StatusCode != 200 || strings.Contains(body, "forged") {
			t.Errorf("%s: got %d %.200q", name, res.StatusCode, body)
		}
		_, rest, _ := strings.Cut(body, "X-Devproxy-Hops: ")
		sent, _, _ := strings.Cut(rest, "\n")
		if !strings.Contains(sent, "app.localhost/long") || len(sent) > maxHops*(maxHopName+len(", ")) {
			t.Errorf("%s: the backend got %d bytes: %.200q", name, len(sent), sent)
		}
	}
	for _, hops := range []string{
		",,,,,,,",
		strings.Repeat("<script>alert(1)</script>\t\xff\x9b31m,", maxHops),
		strings.Repeat(strings.Repeat("x", 30_000)+",", maxHops),
	} {
		for _, accept := range []string{"*/*", "text/html"} {
			res := f.raw(t, "app.localhost", "GET "+path+" HTTP/1.1\r\nHost: app.localhost\r\nAccept: "+accept+"\r\nX-Devproxy-Hops: "+hops+"\r\n\r\n")
			body := readAll(t, res.Body)
			if res.StatusCode != http.StatusLoopDetected || len(body) > 8<<10 || !utf8.ValidString(body) || strings.ContainsAny(body, "\t\u009b") {
				t.Errorf("%.20q: got %d and %d bytes", hops, res.StatusCode, len(body))
			}
			if accept == "text/html" && strings.Contains(body, "<script>") {
				t.Errorf("%.20q: markup has reached the page", hops)
			}
		}
	}
	for _, line := range f.logs.FilterMessage(msgLoop).All() {
		if text := line.ContextMap()["routes"].(string); len(text) > 2<<10 || !utf8.ValidString(text) || strings.ContainsAny(text, "\t\u009b") {
			t.Errorf("logged %d bytes: %.100q", len(text), text)
		}
	}
}
