package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A soak is mixed traffic and its outcome.
type soak struct {
	s       *server
	backend *mortal

	requests, bytes, killed, aborted, messages, statuses atomic.Int64

	mu       sync.Mutex
	failures []string
	longest  map[string]time.Duration
}

func (k *soak) fail(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.failures) < 20 {
		k.failures = append(k.failures, fmt.Sprintf(format, args...))
	}
}

// took notes the longest time of each piece.
func (k *soak) took(name string, d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.longest[name] = max(k.longest[name], d.Round(time.Millisecond))
}

// An uncleanError says that devproxy answered what it must not.
type uncleanError struct{ why string }

func (e *uncleanError) Error() string { return e.why }

func unclean(format string, args ...any) error {
	return &uncleanError{fmt.Sprintf(format, args...)}
}

// errRefused is an answer of devproxy's own: the backend gave none.
var errRefused = errors.New("502")

// again repeats a piece of traffic until ctx ends. It may fail at a kill of the
// backend, and then cleanly.
func (k *soak) again(ctx context.Context, pause time.Duration, name string, work func(ctx context.Context) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := work(limited)
		cancel()
		k.took(name, time.Since(began))
		_, wrong := errors.AsType[*uncleanError](err)
		switch {
		case err == nil:
			k.requests.Add(1)
		case !wrong && k.backend.killedAt(began, time.Now()):
			k.killed.Add(1)
			if errors.Is(err, errRefused) {
				k.statuses.Add(1)
			}
		default:
			k.fail("%s, after %v: %v", name, time.Since(began).Round(time.Millisecond), err)
		}
	}
}

// do sends a request and reads the whole answer. What ends without an error is
// complete, so its sum must be right.
func (k *soak) do(ctx context.Context, client *http.Client, method, path string, body io.Reader) (text []byte, trailer http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, method, k.s.url("soak.localhost", path), body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	k.bytes.Add(int64(len(text)))
	switch {
	case resp.StatusCode == http.StatusBadGateway:
		return nil, nil, errRefused
	case resp.StatusCode != http.StatusOK:
		return nil, nil, unclean("%s %s: %s\n%.300s", method, path, resp.Status, text)
	case err != nil:
		return nil, nil, err
	}
	if sum := resp.Header.Get(sumHeader); sum != "" && sum != sumOf(text) {
		return nil, nil, unclean("%s %s: a body of %d bytes looks complete and has another sum", method, path, len(text))
	}
	return text, resp.Trailer, nil
}

func (k *soak) echo(ctx context.Context, client *http.Client) error {
	sent := randomBytes(rand.IntN(64 << 10))
	got, _, err := k.do(ctx, client, http.MethodPost, "/echo", bytes.NewReader(sent))
	if err == nil && !bytes.Equal(got, sent) {
		err = unclean("echo: sent %d bytes, got %d others", len(sent), len(got))
	}
	return err
}

func (k *soak) upload(ctx context.Context, client *http.Client) error {
	size := rand.Int64N(8 << 20)
	body := newNoise(size)
	var reader io.Reader = struct{ io.Reader }{body}
	if rand.IntN(2) == 0 { // of known length
		all, _ := io.ReadAll(body)
		reader = bytes.NewReader(all)
	}
	got, _, err := k.do(ctx, client, http.MethodPost, "/upload", reader)
	k.bytes.Add(size)
	if err == nil && string(got) != body.sum() {
		err = unclean("upload of %d bytes: the backend got other bytes", size)
	}
	return err
}

func (k *soak) download(ctx context.Context, client *http.Client) error {
	size := rand.Int64N(8 << 20)
	path := fmt.Sprint("/download?size=", size)
	chunked := rand.IntN(2) == 0
	if chunked {
		path += "&chunked=1"
	}
	got, trailer, err := k.do(ctx, client, http.MethodGet, path, nil)
	switch {
	case err != nil:
	case int64(len(got)) != size:
		err = unclean("download of %d bytes looks complete after %d", size, len(got))
	case chunked && trailer.Get(sumHeader) != sumOf(got):
		err = unclean("download of %d bytes, chunked: sum %s, trailer %q", size, sumOf(got), trailer.Get(sumHeader))
	case sumOf(got) != noiseSum(size):
		err = unclean("download of %d bytes: other bytes", size)
	}
	return err
}

// abort leaves in the middle of a download or an upload.
func (k *soak) abort(ctx context.Context, client *http.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if rand.IntN(2) == 0 {
		body := newNoise(64 << 20)
		body.pauseAt(rand.Int64N(1<<20), cancel)
		_, _, err := k.do(ctx, client, http.MethodPost, "/upload", body)
		if ctx.Err() == nil {
			return err
		}
		k.aborted.Add(1)
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.s.url("soak.localhost", "/download?size=67108864"), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusBadGateway {
		return errRefused
	}
	if _, err := io.CopyN(io.Discard, resp.Body, rand.Int64N(1<<20)); err != nil {
		return err
	}
	k.aborted.Add(1)
	return nil
}

// events follows an event stream for some numbers. One that ends by itself
// looks complete and is not.
func (k *soak) events(ctx context.Context, client *http.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.s.url("soak.localhost", "/events"), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusBadGateway:
		return errRefused
	default:
		return unclean("event stream: %s", resp.Status)
	}
	want := ""
	for n := range 30 {
		want += fmt.Sprintf("data: %d\n\n", n)
	}
	got := make([]byte, len(want))
	n := 0
	for n < len(got) && err == nil {
		var more int
		more, err = resp.Body.Read(got[n:])
		n += more
	}
	k.bytes.Add(int64(n))
	switch {
	case n == len(got):
		err = nil
	case err == io.EOF:
		return unclean("event stream: it ends as if it were complete, after %d bytes", n)
	}
	if string(got[:n]) != want[:n] {
		return unclean("event stream: got %q", got[:n])
	}
	return err
}

// socket exchanges messages over a WebSocket.
func (k *soak) socket(ctx context.Context, client *http.Client) error {
	ws, resp, err := websocket.Dial(ctx, k.s.url("soak.localhost", "/ws"), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusBadGateway {
			return unclean("WebSocket: %v", err)
		}
		return err
	}
	defer ws.CloseNow()
	for range 50 {
		sent := randomBytes(rand.IntN(16 << 10))
		if err := ws.Write(ctx, websocket.MessageBinary, sent); err != nil {
			return err
		}
		_, got, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, sent) {
			return unclean("WebSocket: sent %d bytes, got %d others", len(sent), len(got))
		}
		k.messages.Add(1)
		k.bytes.Add(int64(len(got)))
		time.Sleep(20 * time.Millisecond) // a chat, not a flood
	}
	return ws.Close(websocket.StatusNormalClosure, "")
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// run keeps the traffic up until ctx ends, and returns when all of it has.
func (k *soak) run(ctx context.Context, t *testing.T) (clients []*http.Client) {
	t.Helper()
	const pause = 25 * time.Millisecond
	h1, h2, fresh := over1(k.s.client(t)), k.s.client(t), k.s.client(t)
	h2.Timeout = 0
	fresh.Transport.(*http.Transport).DisableKeepAlives = true
	var wg sync.WaitGroup
	for _, c := range []struct {
		name   string
		client *http.Client
	}{{"h1", h1}, {"h2", h2}} {
		for range 2 {
			wg.Go(func() {
				k.again(ctx, pause, "echo "+c.name, func(ctx context.Context) error { return k.echo(ctx, c.client) })
			})
		}
		for _, kind := range []struct {
			name  string
			pause time.Duration
			work  func(context.Context, *http.Client) error
		}{
			{"upload", 8 * pause, k.upload},
			{"download", 8 * pause, k.download},
			{"abort", 8 * pause, k.abort},
			{"events", pause, k.events},
		} {
			wg.Go(func() {
				k.again(ctx, kind.pause, kind.name+" "+c.name, func(ctx context.Context) error { return kind.work(ctx, c.client) })
			})
		}
	}
	wg.Go(func() {
		k.again(ctx, 2*pause, "new connection", func(ctx context.Context) error { return k.echo(ctx, fresh) })
	})
	for range 4 {
		wg.Go(func() {
			k.again(ctx, pause, "WebSocket", func(ctx context.Context) error { return k.socket(ctx, h1) })
		})
	}
	wg.Wait()
	return []*http.Client{h1, h2, fresh}
}
