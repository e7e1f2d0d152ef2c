package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// numbered answers with an event stream: a number at each tick of pace, and
// "end N" after N of them, once finish is closed.
func numbered(pace time.Duration, finish <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for n := 0; ; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-tick.C:
			case <-finish:
				fmt.Fprintf(w, "data: end %d\n\n", n+1)
				return
			case <-r.Context().Done():
				return
			}
		}
	}
}

// A stream is one event stream or WebSocket, and how many numbers it has
// brought so far.
type stream struct {
	name string
	got  atomic.Int64
	err  error // valid when the stream has ended
}

// take accepts the next message: the next number, or the end.
func (s *stream) take(message string) (end bool, err error) {
	n := s.got.Load()
	switch message {
	case fmt.Sprint(n):
		s.got.Add(1)
		return false, nil
	case fmt.Sprint("end ", n):
		return true, nil
	}
	return false, fmt.Errorf("%s: got %q after %d numbers", s.name, message, n)
}

// listen reads an event stream to its end.
func (s *stream) listen(body io.ReadCloser) error {
	defer body.Close()
	ended := false
	for lines := bufio.NewReader(body); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" && ended {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: after %d numbers: %w", s.name, s.got.Load(), err)
		}
		message, isData := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: ")
		if !isData {
			continue
		}
		if ended, err = s.take(message); err != nil {
			return err
		}
	}
}

// converse sends numbers over a WebSocket at pace, which come back, and ends it
// when finish is closed. It does not wait for a number to come back before it
// sends the next.
func (s *stream) converse(ws *websocket.Conn, pace time.Duration, finish <-chan struct{}) error {
	ctx := context.Background() // a stream lasts
	defer ws.CloseNow()
	sent := make(chan error, 1)
	go func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for n := 0; ; n++ {
			if err := ws.Write(ctx, websocket.MessageText, fmt.Append(nil, n)); err != nil {
				sent <- err
				return
			}
			select {
			case <-tick.C:
			case <-finish:
				sent <- ws.Write(ctx, websocket.MessageText, fmt.Append(nil, "end ", n+1))
				return
			}
		}
	}()
	for {
		_, message, err := ws.Read(ctx)
		if err != nil {
			return fmt.Errorf("%s: after %d numbers: %w", s.name, s.got.Load(), err)
		}
		end, err := s.take(string(message))
		if err != nil {
			return err
		}
		if end {
			return errors.Join(<-sent, ws.Close(websocket.StatusNormalClosure, ""))
		}
	}
}

// countDials returns a function that tells how many connections a client has
// made.
func countDials(c *http.Client) func() int {
	var dials atomic.Int64
	transport := c.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, addr)
	}
	return func() int { return int(dials.Load()) }
}

// openEvents opens an event stream and reads it in a goroutine of wg.
func openEvents(wg *sync.WaitGroup, client *http.Client, url string, protocol int, st *stream) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != protocol {
		resp.Body.Close()
		return fmt.Errorf("%s: %s over %s", st.name, resp.Status, resp.Proto)
	}
	wg.Go(func() { st.err = st.listen(resp.Body) })
	return nil
}

// TestStreamsOutliveReloads edits other routes, which come, go and lead
// elsewhere, while event streams and WebSockets are open. Each brings every
// number once and in order, to its end.
func TestStreamsOutliveReloads(t *testing.T) {
	const (
		each = 500
		pace = 500 * time.Millisecond

		// Streams of a route that is gone end after 10 s. If an edit took that
		// of these for another, it would show only then.
		grace = 12 * time.Second
	)
	allowDescriptors(t, 8192)
	finish := make(chan struct{})
	finishOnce := sync.OnceFunc(func() { close(finish) })
	source := httptest.NewServer(numbered(pace, finish))
	t.Cleanup(source.Close)
	t.Cleanup(finishOnce) // first, or Close would wait for the streams
	sockets := echo(t)
	targets := []string{source.URL, sockets, echo(t)}
	config := func(edit int) string {
		return routed(sockets, "streams.localhost") +
			fmt.Sprintf("\"streams.localhost/events\" = %q\n", source.URL) +
			fmt.Sprintf("\"moving.localhost\" = %q\n", targets[edit%3]) +
			fmt.Sprintf("\"other%d.localhost\" = %q\n", edit, targets[edit/3%3])
	}
	s := start(t, newHome(t), config(0))

	var wg sync.WaitGroup
	defer wg.Wait()
	defer finishOnce()
	h1 := over1(s.client(t))
	h2, dials := over2(s.client(t))
	var streams []*stream
	for n := range each {
		events := &stream{name: fmt.Sprint("event stream ", n)}
		client, protocol := h1, 1
		if n%2 == 0 {
			client, protocol = h2, 2
		}
		if err := openEvents(&wg, client, s.url("streams.localhost", "/events"), protocol, events); err != nil {
			t.Fatal(err)
		}
		socket := &stream{name: fmt.Sprint("WebSocket ", n)}
		ws, _, err := websocket.Dial(t.Context(), s.url("streams.localhost", "/ws"), &websocket.DialOptions{HTTPClient: h1})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { socket.err = socket.converse(ws, pace, finish) })
		streams = append(streams, events, socket)
	}
	if dials() != 1 {
		t.Errorf("%d HTTP/2 connections for %d streams, want 1", dials(), each/2)
	}
	progress := func(more int64) {
		t.Helper()
		want := make([]int64, len(streams))
		for i, st := range streams {
			want[i] = st.got.Load() + more
		}
		for i, st := range streams {
			eventually(t, func() string {
				return fmt.Sprintf("%s has brought %d numbers, want %d,", st.name, st.got.Load(), want[i])
			},
				func() bool { return st.got.Load() >= want[i] })
		}
	}
	progress(1)

	edits, atLeast := 0, rounds(60, 1000)
	memoryBefore := s.memory(t)
	began := time.Now()
	for ; edits < atLeast || time.Since(began) < grace; edits++ {
		s.reload(t, config(edits+1))
	}
	took := time.Since(began)
	progress(2)
	descriptors, memory := s.descriptors(t), s.memory(t)
	finishOnce()
	wg.Wait()

	var total int64
	for _, st := range streams {
		total += st.got.Load()
		if st.err != nil {
			t.Error(st.err)
		}
	}
	t.Logf("%d edits in %v; %d numbers on %d streams; devproxy had %d descriptors, %d MiB before and %d after",
		edits, took.Round(time.Millisecond), total, len(streams), descriptors, memoryBefore>>10, memory>>10)
}

// TestStreamsOnOneConnection opens more event streams than HTTP/1.1 has
// connections, over one connection, on which other requests do not wait for
// them.
func TestStreamsOnOneConnection(t *testing.T) {
	const limit = 100 * time.Millisecond
	allowDescriptors(t, 4096)
	finish := make(chan struct{})
	finishOnce := sync.OnceFunc(func() { close(finish) })
	source := httptest.NewServer(numbered(100*time.Millisecond, finish))
	t.Cleanup(source.Close)
	t.Cleanup(finishOnce)
	s := start(t, newHome(t), routed(echo(t), "app.localhost")+fmt.Sprintf("\"app.localhost/events\" = %q\n", source.URL))
	client, dials := over2(s.client(t))

	var wg sync.WaitGroup
	defer wg.Wait()
	defer finishOnce()
	var streams []*stream
	for _, many := range []int{60, 300} {
		for len(streams) < many {
			st := &stream{name: fmt.Sprint("event stream ", len(streams))}
			if err := openEvents(&wg, client, s.url("app.localhost", "/events"), 2, st); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, st)
		}
		var took []time.Duration
		for range 21 {
			began := time.Now()
			resp, err := client.Post(s.url("app.localhost", "/"), "text/plain", strings.NewReader("plain"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(body) != "plain" {
				t.Fatalf("got %q, %v", body, err)
			}
			took = append(took, time.Since(began))
		}
		t.Logf("a request beside %d event streams takes %v (median)", many, median(took))
		// A machine that does other things may delay single requests.
		if got := median(took); many == 60 && got > limit {
			t.Errorf("a request beside %d event streams takes %v (median), want within %v", many, got, limit)
		}
	}
	if dials() != 1 {
		t.Errorf("%d connections, want 1", dials())
	}
	finishOnce()
	wg.Wait()
	for _, st := range streams {
		if st.err != nil {
			t.Error(st.err)
		}
	}
}
