package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// echo starts a backend: "/" answers with the request's body, "/ws" with each
// message of a WebSocket.
func echo(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	mux.HandleFunc("/ws", echoMessages)
	backend := httptest.NewServer(mux)
	t.Cleanup(backend.Close)
	return backend.URL
}

// echoMessages answers each message of a WebSocket with itself.
func echoMessages(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	for {
		kind, message, err := ws.Read(r.Context())
		if err != nil || ws.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// A load is requests and WebSockets without pause, all of which must succeed.
type load struct {
	client func() *http.Client // a new one that finds the server; nil: trusts the home's root

	requests, messages atomic.Int64

	mu       sync.Mutex
	failures []string
}

func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, fmt.Sprintf(format, args...))
}

// How much load there is: enough that each moment of a reload meets many
// requests, little enough that two cores have time for the reload.
const (
	loadWorkers = 3 // of each kind
	loadSockets = 8
	loadPause   = 4 * time.Millisecond
)

// run keeps up the load on a host until ctx ends.
func (l *load) run(ctx context.Context, t *testing.T, s *server, host string) *sync.WaitGroup {
	t.Helper()
	kinds := []struct {
		name     string
		protocol int // major version
		apply    func(*http.Transport)
	}{
		{"h1", 1, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = false }},
		{"h2", 2, func(*http.Transport) {}},
		{"new connections", 2, func(tr *http.Transport) { tr.DisableKeepAlives = true }},
	}
	var wg sync.WaitGroup
	newClient := l.client
	if newClient == nil {
		newClient = func() *http.Client { return s.client(t) }
	}
	for _, kind := range kinds {
		client := newClient()
		kind.apply(client.Transport.(*http.Transport))
		for range loadWorkers {
			wg.Go(func() { l.request(ctx, client, kind.name, kind.protocol, s.url(host, "/")) })
		}
	}
	client := newClient()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	client.Timeout = 0 // it would end the WebSockets
	for n := range loadSockets {
		ws, resp, err := websocket.Dial(t.Context(), s.url(host, "/ws"), &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatalf("open a WebSocket: %v (%v)", err, resp)
		}
		wg.Go(func() { l.talk(ctx, ws, n) })
	}
	return &wg
}

func (l *load) request(ctx context.Context, client *http.Client, kind string, protocol int, url string) {
	tick := time.NewTicker(loadPause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sent := fmt.Sprintf("%s %d", kind, n)
		resp, err := client.Post(url, "text/plain", strings.NewReader(sent))
		if err != nil {
			l.fail("%s: %v", sent, err)
			continue
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != protocol || string(got) != sent {
			l.fail("%s: %s over %s, %q, %v", sent, resp.Status, resp.Proto, got, err)
		}
		l.requests.Add(1)
	}
}

// talk sends numbered messages and wants each back.
func (l *load) talk(ctx context.Context, ws *websocket.Conn, n int) {
	defer ws.CloseNow()
	tick := time.NewTicker(loadPause)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			// Not the load's context: it has ended.
			if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
				l.fail("WebSocket %d was closed before its client did: %v", n, err)
			}
			return
		case <-tick.C:
		}
		sent := fmt.Sprintf("socket %d message %d", n, i)
		err := func() error {
			limited, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := ws.Write(limited, websocket.MessageText, []byte(sent)); err != nil {
				return err
			}
			_, got, err := ws.Read(limited)
			if err == nil && string(got) != sent {
				err = fmt.Errorf("got %q", got)
			}
			return err
		}()
		if err != nil {
			l.fail("%s: %v", sent, err)
			return
		}
		l.messages.Add(1)
	}
}
