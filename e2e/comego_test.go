package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// vacant returns an address of this sandbox at which nobody listens.
func vacant(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// listenAt listens at an address that was vacant or its last server's.
func listenAt(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serveAt serves at a listener until the test ends.
func serveAt(t *testing.T, ln net.Listener, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// notes is a Flask app that writes down each request before it answers.
const notes = `
import sys
from flask import Flask, request

app = Flask("notes")


@app.route("/<name>", methods=["GET", "POST"])
def note(name):
    body = request.get_data(as_text=True)
    with open("requests", "a") as f:
        f.write(f"{request.method} {name} {len(body)}\n")
    return "noted " + name


app.run(port=int(sys.argv[1]))
`

// TestFlaskRestarts kills Flask's own server and starts it again, several
// times, under requests that never pause. All are answered, and none reaches
// the app twice.
func TestFlaskRestarts(t *testing.T) {
	flask := python(t, "flask")
	h := newHome(t)
	addr := vacant(t)
	_, port, _ := net.SplitHostPort(addr)
	h.write(t, "notes.py", notes)
	run := func() (kill func()) { return h.startAt(t, flask, "notes.py", port) }
	// Python may take its time on a busy machine.
	s := start(t, h, head+fmt.Sprintf("[routes.\"app.localhost\"]\nto = %q\nhold = \"30s\"", port))
	client := s.client(t)

	var wg sync.WaitGroup
	var answered, lost atomic.Int64
	stop := make(chan struct{})
	send := func(name string) {
		method, body := http.MethodGet, ""
		if strings.HasPrefix(name, "post") {
			method, body = http.MethodPost, strings.Repeat("x", 100_000)
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.url("app.localhost", "/"+name), strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			lost.Add(1) // cut off half-way
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		switch {
		case err != nil || resp.StatusCode == http.StatusBadGateway: // it was being answered when the app was killed
			lost.Add(1)
		case resp.StatusCode == http.StatusOK && string(text) == "noted "+name:
			answered.Add(1)
		default:
			t.Errorf("%s: got %s %q", name, resp.Status, text)
		}
	}
	for worker := range 4 {
		wg.Go(func() {
			kind := []string{"get", "post"}[worker%2]
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					send(fmt.Sprintf("%s-%d-%d", kind, worker, i))
				}
			}
		})
	}
	const restarts = 3
	for range restarts {
		kill := run()
		for before := answered.Load(); answered.Load() < before+20; time.Sleep(10 * time.Millisecond) {
			if t.Context().Err() != nil || t.Failed() {
				break
			}
		}
		kill()
	}
	run()
	close(stop)
	wg.Wait()

	record, err := os.ReadFile(filepath.Join(h.work, "requests"))
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]int)
	for line := range strings.Lines(string(record)) {
		method, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, size, _ := strings.Cut(name, " ")
		times[name]++
		if method == http.MethodPost && size != "100000" {
			t.Errorf("%s arrived with a body of %s bytes", name, size)
		}
	}
	for name, n := range times {
		if n != 1 {
			t.Errorf("%s reached the app %d times", name, n)
		}
	}
	t.Logf("%d requests over %d restarts, %d of them were at the app when it was killed", answered.Load(), restarts, lost.Load())
	// Each of the four may have had one at the app, which its end cut off, and
	// another that the system had accepted for it.
	if lost.Load() > 2*4*restarts {
		t.Errorf("%d requests were lost, want no more than were being answered", lost.Load())
	}
}

// A WebSocket that is opened while the app is down waits for it.
func TestWebSocketIsHeld(t *testing.T) {
	addr := vacant(t)
	s := start(t, newHome(t), head+fmt.Sprintf("routes.\"app.localhost\" = \"http://%s\"", addr))
	opened := make(chan error, 1)
	client := s.client(t)
	go func() {
		conn, _, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(s.url("app.localhost", "/ws"), "https"), &websocket.DialOptions{HTTPClient: client})
		if err == nil {
			conn.CloseNow()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("it ended while nobody listens: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	var upgrades atomic.Int64
	serveAt(t, listenAt(t, addr), func(w http.ResponseWriter, r *http.Request) {
		upgrades.Add(1)
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			conn.CloseNow()
		}
	})
	if err := receive(t, "WebSocket", opened); err != nil {
		t.Error(err)
	}
	if n := upgrades.Load(); n != 1 {
		t.Errorf("the app saw %d upgrades, want 1", n)
	}
}

// What curl gets when the time of hold is over: one line, whatever it asks
// for, and a page if it asks as a browser does.
func TestHoldIsOver(t *testing.T) {
	curl := tool(t, "curl")
	h := newHome(t)
	addr := vacant(t)
	s := start(t, h, head+fmt.Sprintf(`
[routes."app.localhost"]
to = "http://%[1]s"
hold = "400ms"
[routes."usual.localhost"]
to = "http://%[1]s"
`, addr))
	for _, test := range []struct {
		name, host, accept string
		least              time.Duration
		html               bool
	}{
		{"curl", "app.localhost", "*/*", 400 * time.Millisecond, false},
		{"JSON", "app.localhost", "application/json", 400 * time.Millisecond, false},
		{"HTML", "app.localhost", "text/html", 400 * time.Millisecond, true},
		{"5 seconds", "usual.localhost", "*/*", 5 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Now()
			got := h.run(t, curl, "--silent", "--show-error", "--include", "--http1.1", "--cacert", h.rootFile(),
				"--resolve", fmt.Sprintf("%s:%d:127.0.0.1", test.host, s.port), "-H", "Accept: "+test.accept, s.url(test.host, "/")).must(t, 0)
			if took := time.Since(began); took < test.least || took > test.least+3*time.Second {
				t.Errorf("answered after %v, want %v", took, test.least)
			}
			header, body, _ := strings.Cut(got.stdout, "\r\n\r\n")
			for _, want := range []string{"HTTP/1.1 503 ", "\r\nRetry-After: 1\r\n", "\r\nCache-Control: no-store\r\n"} {
				if !strings.Contains(header, want) {
					t.Errorf("no %q in\n%s", want, header)
				}
			}
			for _, want := range []string{test.host, addr, "connection refused"} {
				if !strings.Contains(body, want) {
					t.Errorf("no %q in %q", want, body)
				}
			}
			if html := strings.HasPrefix(body, "<!DOCTYPE html>"); html != test.html || !html && strings.Count(body, "\n") != 1 {
				t.Errorf("got %q; want a page %t, else one line", body, test.html)
			}
		})
	}
}

// A page that is opened while the app is down shows why, asks rarely, and is
// replaced by the app's page once there is one.
func TestPageWaitsForApp(t *testing.T) {
	h := newHome(t)
	addr := vacant(t)
	s := start(t, h, usual+fmt.Sprintf("[routes.\"page.localhost\"]\nto = \"http://%s\"\nhold = \"100ms\"", addr))
	settle(t)
	trustAll(t, h)
	browsers := startBrowsers(t, h)
	p := newPage()
	names := make(map[*browser]string)
	for _, b := range browsers {
		from := s.mark()
		url, name := p.visit(s.url("page.localhost", "/"))
		names[b] = name
		b.open(t, url)
		s.waitLogAfter(t, from, "request", func(l logLine) bool {
			return l["host"] == "page.localhost" && l["status"] == float64(http.StatusServiceUnavailable) && l["path"] == "/"
		})
	}
	// Each page asks once, and that question stays open.
	from := s.mark()
	time.Sleep(3 * time.Second)
	s.mu.Lock()
	asked := 0
	for _, line := range s.lines[from:] {
		if line.msg() == "request" && line["host"] == "page.localhost" {
			asked++
		}
	}
	s.mu.Unlock()
	if asked > 2*len(browsers) { // an icon may come late
		t.Errorf("%d requests ended in 3s while the app is down, want next to none", asked)
	}
	p.serve(t, listenAt(t, addr))
	began := time.Now()
	for _, b := range browsers {
		want := report{Visit: names[b], Protocol: "h2", Echo: greeting, Secure: true, Top: true}
		if got := p.wait(t, names[b]); got != want {
			t.Errorf("%s: got %+v, want %+v", b.name, got, want)
		}
		t.Logf("%s has the app's page %v after its start", b.name, time.Since(began).Round(time.Millisecond))
	}
	stopBrowsers(t, browsers)
}

// An interrupt ends devproxy at once, whoever waits for an app.
func TestInterruptWhileWaiting(t *testing.T) {
	addr := vacant(t)
	s := start(t, newHome(t), head+fmt.Sprintf("[routes.\"app.localhost\"]\nto = \"http://%s\"\nhold = \"10m\"", addr))
	client := s.client(t)
	var wg sync.WaitGroup
	const many = 30
	for i := range many {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("app.localhost", "/"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if i%2 == 0 {
				req.Header.Set("X-Devproxy-Wait", "1")
			}
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("got %s", resp.Status)
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond) // all of them are with devproxy
	began := time.Now()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	took := time.Since(began)
	t.Logf("ended %v after the interrupt", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("it took %v to end, want less than 1s", took)
	}
	wg.Wait()
}
