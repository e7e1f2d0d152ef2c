package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// TestLoop has a frontend whose own proxy sends requests for the API back to
// devproxy, with the Host that they came with.
func TestLoop(t *testing.T) {
	var target atomic.Pointer[server]
	var visits atomic.Int64
	frontend := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			visits.Add(1)
			s := target.Load()
			r.SetURL(&url.URL{Scheme: "https", Host: s.addr()})
			r.Out.Host = r.In.Host // what changeOrigin: true would not do
		},
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{ServerName: "app.localhost", InsecureSkipVerify: true},
			DisableKeepAlives: true,
		},
	})
	t.Cleanup(frontend.Close)
	s := start(t, newHome(t), head+fmt.Sprintf("routes.\"app.localhost\" = %q", frontend.URL))
	target.Store(s)
	client := s.client(t)

	const hops = 5
	chain := strings.Repeat("app.localhost → ", hops) + "app.localhost"
	check := func(t *testing.T, resp *http.Response) {
		t.Helper()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusLoopDetected {
			t.Errorf("got %s, want 508\n%s", resp.Status, body)
		}
		for _, want := range []string{chain, "changeOrigin"} {
			if !strings.Contains(string(body), want) {
				t.Errorf("got %q, want %q in it", body, want)
			}
		}
		if n := visits.Swap(0); n != hops {
			t.Errorf("it went round %d times, want %d", n, hops)
		}
		s.waitLog(t, "a request goes round in circles", func(l logLine) bool {
			return l["host"] == "app.localhost" && l["routes"] == chain
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), method, s.url("app.localhost", "/api/users?token=hidden"), strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			check(t, resp)
		})
	}
	t.Run("WebSocket", func(t *testing.T) {
		conn, resp, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(s.url("app.localhost", "/ws"), "https"), &websocket.DialOptions{HTTPClient: client})
		if err == nil {
			conn.CloseNow()
			t.Fatal("the WebSocket was opened")
		}
		if resp == nil {
			t.Fatal(err)
		}
		check(t, resp)
	})
	if strings.Contains(s.errors(), "hidden") {
		t.Error("the log has the query")
	}
}
