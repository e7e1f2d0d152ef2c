package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A witness is a backend that notes when each of its requests was cancelled.
// Requests carry their number.
type witness struct {
	ended []chan time.Time
	begun []chan struct{}
}

func newWitness(requests int) *witness {
	w := &witness{}
	for range requests {
		w.ended = append(w.ended, make(chan time.Time, 1))
		w.begun = append(w.begun, make(chan struct{}, 1))
	}
	return w
}

func (wit *witness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil || n >= len(wit.ended) {
		return // a request that only asks whether devproxy works
	}
	wit.begun[n] <- struct{}{}
	switch r.URL.Path {
	case "/download":
		io.Copy(w, newNoise(1<<40))
	case "/stream":
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "/silent":
		<-r.Context().Done()
	case "/upload":
		io.Copy(io.Discard, r.Body)
	}
	wit.ended[n] <- time.Now()
}

// TestAborts has clients leave in the middle of requests of every kind. The
// backend learns of each, and nothing of them stays in devproxy.
func TestAborts(t *testing.T) {
	const (
		atOnce = 16
		few    = 40
	)
	many := rounds(240, 1000)
	kinds := []string{"/download", "/stream", "/silent", "/upload"}

	type state struct{ descriptors, memory, goroutines int }
	after := func(aborts int) state {
		t.Helper()
		wit := newWitness(aborts)
		backend := httptest.NewServer(wit)
		t.Cleanup(backend.Close)
		config := routed(backend.URL, "app.localhost")
		s := start(t, newHome(t), config)
		for _, protocol := range protocols {
			for _, kind := range kinds {
				client := protocol.client(t, s)
				late := abortAll(t, s, client, wit, kind, aborts, atOnce)
				s.get(t, client, "app.localhost", "/")
				s.calm(t, config, client)
				t.Logf("%s %s: %d aborted, the backend learnt of it within %v (median), %v (longest)",
					protocol.name, kind, len(late), median(late), slices.Max(late))
				if got := median(late); got > time.Second {
					t.Errorf("%s %s: the backend learns of an abort after %v (median), want within a second", protocol.name, kind, got)
				}
			}
		}
		descriptors := settled(t, func() int64 { return int64(s.descriptors(t)) })
		return state{int(descriptors), s.memory(t), s.goroutines(t)}
	}
	start, end := after(few), after(many)
	t.Logf("after %d aborts of each kind: %+v; after %d: %+v", few, start, many, end)
	for _, left := range []struct {
		what             string
		start, end, more int
	}{
		{"descriptors", start.descriptors, end.descriptors, 4},
		{"KiB of memory", start.memory, end.memory, 24 << 10},
		{"goroutines", start.goroutines, end.goroutines, 10},
	} {
		if left.end > left.start+left.more {
			t.Errorf("%d %s after %d aborts, %d after %d", left.start, left.what, few, left.end, many)
		}
	}
}

// abortAll begins requests, some at once, and leaves each once it is under way.
// It returns how long the backend took to learn of each.
func abortAll(t *testing.T, s *server, client *http.Client, wit *witness, path string, aborts, atOnce int) []time.Duration {
	t.Helper()
	late := make([]time.Duration, aborts)
	var wg sync.WaitGroup
	for first := range atOnce {
		wg.Go(func() {
			for n := first; n < aborts; n += atOnce {
				var err error
				if late[n], err = abortOne(s, client, wit, path, n); err != nil {
					t.Errorf("%s %d: %v", path, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return late
}

func abortOne(s *server, client *http.Client, wit *witness, path string, n int) (late time.Duration, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if path == "/upload" {
		method, body = http.MethodPost, newNoise(1<<40)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url("app.localhost", fmt.Sprint(path, "?n=", n)), body)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() {
		resp, err := client.Do(req)
		if err == nil {
			_, err = io.CopyN(io.Discard, resp.Body, 1<<18)
			cancel() // the middle of a download; others do not come so far
			resp.Body.Close()
		}
		done <- err
	}()
	select {
	case <-wit.begun[n]:
	case <-time.After(patience):
		return 0, fmt.Errorf("the backend has no request after %v", patience)
	}
	if path == "/download" {
		if err := <-done; err != nil {
			return 0, err
		}
	}
	left := time.Now()
	cancel()
	select {
	case ended := <-wit.ended[n]:
		return max(0, ended.Sub(left)), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("the backend has not learnt of the abort after %v", patience)
	}
}

// TestResetFlood cancels requests over one HTTP/2 connection by the hundred, as
// pages do that are reloaded. The connection goes on.
func TestResetFlood(t *testing.T) {
	const (
		waves  = 10
		atOnce = 100
	)
	wit := newWitness(waves * atOnce)
	backend := httptest.NewServer(wit)
	t.Cleanup(backend.Close)
	s := start(t, newHome(t), routed(backend.URL, "app.localhost"))
	client, dials := over2(s.client(t))
	s.get(t, client, "app.localhost", "/")
	for wave := range waves {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for n := range atOnce {
			wg.Go(func() {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("app.localhost", fmt.Sprint("/silent?n=", wave*atOnce+n)), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if resp, err := client.Do(req); err == nil {
					t.Errorf("a silent backend answers %s", resp.Status)
					resp.Body.Close()
				}
			})
		}
		<-wit.begun[wave*atOnce] // others may not have been sent by now
		cancel()
		wg.Wait()
		s.get(t, client, "app.localhost", "/")
	}
	if dials() != 1 {
		t.Errorf("%d connections, want 1", dials())
	}
}

// TestSilence waits for what takes long: nothing in devproxy ends it.
func TestSilence(t *testing.T) {
	silence := time.Duration(rounds(2, 30)) * time.Second
	mux := http.NewServeMux()
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(silence)
		io.WriteString(w, "late")
	})
	mux.HandleFunc("/pause", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "early, ")
		http.NewResponseController(w).Flush()
		time.Sleep(silence)
		io.WriteString(w, "late")
	})
	mux.HandleFunc("/ws", echoMessages)
	backend := httptest.NewServer(mux)
	t.Cleanup(backend.Close)
	s := start(t, newHome(t), routed(backend.URL, "app.localhost"))
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, protocol := range protocols {
		for path, want := range map[string]string{"/late": "late", "/pause": "early, late"} {
			client := protocol.client(t, s)
			wg.Go(func() {
				resp, err := client.Get(s.url("app.localhost", path))
				if err != nil {
					t.Errorf("%s %s: %v", protocol.name, path, err)
					return
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != want {
					t.Errorf("%s %s: got %q, %v, want %q", protocol.name, path, got, err, want)
				}
			})
		}
	}
	ws, _, err := websocket.Dial(t.Context(), s.url("app.localhost", "/ws"), &websocket.DialOptions{HTTPClient: over1(s.client(t))})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	wg.Wait() // meanwhile the WebSocket is silent
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("late")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := ws.Read(t.Context()); err != nil || string(got) != "late" {
		t.Errorf("WebSocket: got %q, %v", got, err)
	}
}
