package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// appearAt starts a backend at an address that was free.
func appearAt(t testing.TB, address string, handler http.HandlerFunc) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("%s is not free any more: %v", address, err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
}

// ask sends a request and returns "status body", or the error.
func ask(client *http.Client, req *http.Request) <-chan string {
	answer := make(chan string, 1)
	go func() {
		res, err := client.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answer <- fmt.Sprint(res.StatusCode, " ", string(body))
	}()
	return answer
}

// busy waits until the proxy answers n requests.
func (f *fixture) busy(t testing.TB, n int64) {
	t.Helper()
	eventually(t, "the requests at the proxy", func() bool { return f.requests.Load() == n })
}

func TestWaitHeader(t *testing.T) {
	both(t, func(t *testing.T, protocol string) {
		var seen atomic.Int64
		handler := func(http.ResponseWriter, *http.Request) { seen.Add(1) }
		address := "127.0.0.1:" + closedPort(t)
		f := start(t, Route{Host: "app.localhost", Path: "/", Backend: at(address)}, Route{Host: "up.localhost", Path: "/", Backend: app(t, handler)})
		client := f.client(t, protocol)
		question := func(ctx context.Context, host string) *http.Request {
			return newRequest(t, "GET", f.url(host, "/"), nil, waitHeader, "1").WithContext(ctx)
		}
		if got := receive(t, "an answer", ask(client, question(t.Context(), "up.localhost"))); got != "204 " {
			t.Errorf("backend is there: got %q", got)
		}

		// New routes may lead elsewhere: the page had better ask again.
		answer := ask(client, question(t.Context(), "app.localhost"))
		f.busy(t, 1)
		replace(t, f.table, Route{Host: "app.localhost", Path: "/", Backend: at(address), Rules: Rules{KeepHSTS: true}})
		if got := receive(t, "an answer", answer); !strings.HasPrefix(got, "503 ") {
			t.Errorf("routes replaced: got %q", got)
		}

		ctx, leave := context.WithCancel(t.Context())
		answer = ask(client, question(ctx, "app.localhost"))
		f.busy(t, 1)
		leave()
		receive(t, "the end", answer)
		f.busy(t, 0)

		answer = ask(client, question(t.Context(), "app.localhost"))
		f.busy(t, 1)
		appearAt(t, address, handler)
		if got := receive(t, "an answer", answer); got != "204 " {
			t.Errorf("backend appears: got %q", got)
		}
		if seen.Load() > 0 {
			t.Errorf("the backend got %d requests", seen.Load())
		}
	})
}

// A shutdown waits neither for those who wait nor for requests that are held,
// also where their route is gone.
func TestShutdownEndsWaiting(t *testing.T) {
	held := Route{Host: "app.localhost", Path: "/", Backend: at("127.0.0.1:" + closedPort(t)), Rules: Rules{Hold: time.Hour}}
	for _, gone := range []bool{false, true} {
		f := start(t, held)
		client := f.client(t, "h2")
		requests := []<-chan string{
			ask(client, newRequest(t, "POST", f.url("app.localhost", "/"), strings.NewReader("x"))),
			ask(client, newRequest(t, "GET", f.url("app.localhost", "/"), nil)),
		}
		if !gone { // new routes end those that wait, anyway
			requests = append(requests, ask(client, newRequest(t, "GET", f.url("app.localhost", "/"), nil, waitHeader, "1")))
		}
		f.busy(t, int64(len(requests)))
		if gone {
			replace(t, f.table)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		began := time.Now()
		if err := f.Shutdown(ctx); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("gone %t: got %v after %v", gone, err, time.Since(began))
		}
		cancel()
		for _, answer := range requests {
			if got := receive(t, "an answer", answer); !strings.HasPrefix(got, "503 ") {
				t.Errorf("gone %t: got %q, want 503", gone, got)
			}
		}
	}
}

// What comes while the backend restarts is held: requests with their bodies,
// and upgrades.
func TestHold(t *testing.T) {
	address := "127.0.0.1:" + closedPort(t)
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: at(address), Rules: Rules{Hold: time.Hour}})
	body := strings.Repeat("0123456789", 10_000)
	var answers []<-chan string
	for _, protocol := range []string{"h1", "h2"} {
		answers = append(answers, ask(f.client(t, protocol), newRequest(t, "POST", f.url("app.localhost", "/"), strings.NewReader(body))))
	}
	conn := f.connect(t, "app.localhost", "http/1.1")
	io.WriteString(conn, upgradeHead+"early")
	f.busy(t, 3)
	appearAt(t, address, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			all, _ := io.ReadAll(r.Body)
			w.Write(all)
			return
		}
		conn, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.CopyN(conn, in, int64(len("early")))
	})
	for _, answer := range answers {
		if got := receive(t, "an answer", answer); got != "200 "+body {
			t.Errorf("got %.40q, want the body back", got)
		}
	}
	if got := readAll(t, conn); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\nearly") {
		t.Errorf("WebSocket: got %q", got)
	}
	if f.logs.FilterMessage("backend failed").Len() > 0 {
		t.Error("a held request is logged as failed")
	}
	if got := f.logs.FilterMessage(msgHeld).Len(); got != 1 {
		t.Errorf("got %d lines about requests that are held, want 1 for all", got)
	}
}

// The page loads again by itself only where that repeats nothing.
func TestAbsentPage(t *testing.T) {
	f := start(t,
		Route{Host: "app.localhost", Path: "/", Backend: at("127.0.0.1:" + closedPort(t)), Rules: Rules{Hold: 10 * time.Millisecond}},
		Route{Host: "app.localhost", Path: "/broken", Backend: answers(t, "")},
	)
	both(t, func(t *testing.T, protocol string) {
		for _, test := range []struct {
			method, path, accept string
			status               int
			html, script         bool
		}{
			{"GET", "/", browser, 503, true, true},
			{"POST", "/", browser, 503, true, false},
			{"GET", "/", "application/json", 503, false, false},
			{"GET", "/broken", browser, 502, true, false},
		} {
			res := do(t, f.client(t, protocol), newRequest(t, test.method, f.url("app.localhost", test.path), nil, "Accept", test.accept))
			body := readAll(t, res.Body)
			policy := res.Header.Get("Content-Security-Policy")
			if res.StatusCode != test.status || strings.HasPrefix(body, "<!DOCTYPE html>") != test.html || !test.html && strings.Count(body, "\n") != 1 {
				t.Errorf("%s %s %s: got %d %q", test.method, test.path, test.accept, res.StatusCode, body)
			}
			if retry := res.Header.Get("Retry-After"); (retry == "1") != (test.status == 503) {
				t.Errorf("%s %s: got Retry-After %q", test.method, test.path, retry)
			}
			_, script, found := strings.Cut(body, "<script>")
			script, _, _ = strings.Cut(script, "</script>")
			if found != test.script || strings.Contains(policy, "script-src") != test.script {
				t.Errorf("%s %s: got script %q, policy %q", test.method, test.path, script, policy)
			}
			if test.script && !strings.Contains(policy, "script-src "+sourceHash(script)) {
				t.Errorf("policy %q does not allow the script", policy)
			}
		}
	})
}
