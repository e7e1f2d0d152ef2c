package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// A recordingConn notes what is written to it, call by call.
type recordingConn struct {
	net.Conn
	calls [][]byte
	err   error
	done  chan struct{} // gets one for each call, unless it is nil
}

func (c *recordingConn) Write(b []byte) (int, error) {
	c.calls = append(c.calls, bytes.Clone(b))
	if c.done != nil {
		c.done <- struct{}{}
	}
	return len(b), c.err
}

func TestGather(t *testing.T) {
	const most = gathered
	for name, tt := range map[string]struct{ writes, want []int }{
		"nothing":            {nil, nil},
		"one":                {[]int{5}, []int{5}},
		"several":            {[]int{4118, 16406, 2}, []int{20526}},
		"just enough":        {[]int{most - 1, 1}, []int{most}},
		"more than is held":  {[]int{most - 1, 2, 3}, []int{most - 1, 5}},
		"one that is larger": {[]int{1, most + 1, 2}, []int{1, most + 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := new(recordingConn)
			g := newGatherer(conn, new(gatherings))
			var sent []byte
			g.hold()
			for i, size := range tt.writes {
				b := bytes.Repeat([]byte{byte('a' + i)}, size)
				sent = append(sent, b...)
				if n, err := g.Write(b); n != size || err != nil {
					t.Errorf("Write: got %d, %v; want %d", n, err, size)
				}
			}
			if err := g.release(); err != nil {
				t.Error(err)
			}
			var sizes []int
			for _, call := range conn.calls {
				sizes = append(sizes, len(call))
			}
			if !slices.Equal(sizes, tt.want) {
				t.Errorf("got calls of %v bytes, want %v", sizes, tt.want)
			}
			if !bytes.Equal(slices.Concat(conn.calls...), sent) {
				t.Error("what goes out is not what was written")
			}
			if g.Write([]byte("after")); string(conn.calls[len(conn.calls)-1]) != "after" {
				t.Error("it holds on after release")
			}
		})
	}
}

// That a connection is broken shows when what was gathered is sent.
func TestGatherBroken(t *testing.T) {
	broken := errors.New("broken")
	g := newGatherer(&recordingConn{err: broken}, new(gatherings))
	g.hold()
	if _, err := g.Write(make([]byte, gathered)); err != nil {
		t.Errorf("Write: %v", err)
	}
	if _, err := g.Write([]byte("a")); err != broken {
		t.Errorf("Write of more than is held: got %v, want %v", err, broken)
	}
	g = newGatherer(&recordingConn{err: broken}, new(gatherings))
	g.hold()
	g.Write([]byte("a"))
	if err := g.release(); err != broken {
		t.Errorf("release: got %v, want %v", err, broken)
	}
}

// A writeCounter is a listener that counts the writes to its connections.
type writeCounter struct {
	net.Listener
	mu     sync.Mutex // guards writes
	writes int
}

type countedConn struct {
	net.Conn
	l *writeCounter
}

func (l *writeCounter) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countedConn{conn, l}, err
}

func (c countedConn) Write(b []byte) (int, error) {
	c.l.mu.Lock()
	c.l.writes++
	c.l.mu.Unlock()
	return c.Conn.Write(b)
}

// What a backend sends reaches the client at once and whole, whatever its size
// has to do with those of the buffers on its way; a large piece in few calls.
func TestPiecesArriveWhole(t *testing.T) {
	proceed := make(chan bool)
	sizes := []int{1, gatherFrom - 1, gatherFrom, 4095, 4096, 4097, 1<<14 - 1, 1 << 14, 1<<14 + 1, largeBuffer, largeBuffer + 1, gathered, gathered + 1, 1 << 18}
	total := 0
	for _, size := range sizes {
		total += size
	}
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(total))
		}
		for _, size := range sizes {
			w.Write(bytes.Repeat([]byte{'x'}, size))
			http.NewResponseController(w).Flush()
			select {
			case <-proceed:
			case <-r.Context().Done(): // the test has failed
				return
			}
		}
	})})
	for _, path := range []string{"/known", "/chunked"} {
		both(t, func(t *testing.T, protocol string) {
			res := do(t, f.client(t, protocol), newRequest(t, "GET", f.url("app.localhost", path), nil))
			for _, size := range sizes {
				got := make([]byte, size)
				if _, err := io.ReadFull(res.Body, got); err != nil {
					t.Fatalf("a piece of %d bytes: %v", size, err)
				}
				proceed <- true
			}
		})
	}
}

func TestDownloadInFewCalls(t *testing.T) {
	const size = 4 << 20
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(make([]byte, size))
	})})
	ln := &writeCounter{Listener: listen(t, loopback4)}
	served := make(chan error, 1)
	go func() { served <- f.Serve(ln) }()
	client := f.client(t, "h1")
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}
	_, text := get(t, client, f.url("app.localhost", "/"))
	f.Shutdown(t.Context())
	<-served
	ln.mu.Lock()
	defer ln.mu.Unlock()
	// Twice as many would be one for each record.
	if most := size/(1<<14)*3/4 + 20; len(text) != size || ln.writes > most {
		t.Errorf("got %d bytes in %d calls, want %d in at most %d", len(text), ln.writes, size, most)
	}
}
