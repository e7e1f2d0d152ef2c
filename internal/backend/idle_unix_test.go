//go:build unix

package backend

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A connection that the backend has closed takes no request, of whatever kind.
func TestClosedConnectionIsNotUsed(t *testing.T) {
	closed := make(chan bool, 1)
	var conns atomic.Int64
	p := directly.pool(scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		conns.Add(1)
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(conn, ok)
		conn.Close()
		closed <- true
	}))
	for i := range 50 {
		p.brief.Store(0) // what is learned of such a backend is not needed
		if o := send(p, call(t, "POST", strings.NewReader("form")), 0); o.body != "ok" || o.err != nil {
			t.Fatalf("request %d: got %q, %v", i, o.body, o.err)
		}
		receive(t, "the end of the connection", closed)
	}
	if conns.Load() != 50 {
		t.Errorf("got %d connections", conns.Load())
	}
	p.brief.Store(0)
	p.generation.Load().idle.take(true)
	if !p.isBrief() {
		t.Error("the backend's habit was not noted")
	}
}

// Connections are kept, also under requests with bodies.
func TestConnectionIsKept(t *testing.T) { overBoth(t, testConnectionIsKept) }

func testConnectionIsKept(t *testing.T, over client) {
	target, appear := absent(t, "http")
	appear(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "After")
		io.WriteString(w, r.Method)
		w.Header().Set("After", "all")
	}))
	p := over.pool(target)
	defer p.CloseIdle()
	dials := counted(p)
	for range 200 {
		if o := send(p, call(t, "GET", nil), 0); o.body != "GET" {
			t.Fatalf("got %q, %v", o.body, o.err)
		}
		if o := send(p, call(t, "POST", strings.NewReader("form")), 0); o.body != "POST" {
			t.Fatalf("got %q, %v", o.body, o.err)
		}
		c := call(t, "PUT", strings.NewReader("form"))
		c.Length = 4
		if o := send(p, c, 0); o.body != "PUT" {
			t.Fatalf("got %q, %v", o.body, o.err)
		}
	}
	if dials.Load() != 1 {
		t.Errorf("got %d connections for 600 requests", dials.Load())
	}
}

// Bursts are served by at most as many connections as requests are under way.
func TestBurst(t *testing.T) { overBoth(t, testBurst) }

func testBurst(t *testing.T, over client) {
	const many = 64
	target, appear := absent(t, "http")
	appear(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.URL.Path, string(body))
	}))
	p := over.pool(target)
	defer p.CloseIdle()
	var running sync.WaitGroup
	for i := range many {
		running.Go(func() {
			for j := range 20 {
				c := call(t, "GET", nil)
				c.Path = fmt.Sprintf("/%d/%d", i, j)
				want := c.Path
				if j%2 == 1 {
					c.Method, c.Body, c.Length = "POST", io.NopCloser(strings.NewReader("body")), 4
					want += "body"
				}
				if o := send(p, c, 0); o.body != want || o.err != nil {
					t.Errorf("got %q, %v; want %q", o.body, o.err, want)
				}
			}
		})
	}
	running.Wait()
}

// endings are the ways to end a call. Each returns a function that does.
var endings = map[string]func(*Call) context.CancelCauseFunc{
	"by the context": func(c *Call) (end context.CancelCauseFunc) {
		c.Context, end = context.WithCancelCause(c.Context)
		return end
	},
	"by Cancel": func(c *Call) context.CancelCauseFunc { return c.Cancel },
}

// What the target has closed, or what is too old, is closed without a request.
func TestSweep(t *testing.T) {
	var asked sync.WaitGroup
	asked.Add(3)
	p := directly.pool(scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		headFrom(in)
		asked.Done()
		asked.Wait() // so that each request has a connection
		io.WriteString(conn, ok)
		if n > 0 {
			in.ReadByte()
		}
	}))
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() { send(p, call(t, "GET", nil), 0) })
	}
	running.Wait()
	i := p.generation.Load().idle
	eventually(t, "the backend's closing to be seen", func() bool {
		i.sweep()
		i.mu.Lock()
		defer i.mu.Unlock()
		return len(i.links) == 2
	})
	i.mu.Lock()
	i.links[0].freed = time.Now().Add(-idleTimeout)
	i.mu.Unlock()
	i.sweep()
	if len(i.links) != 1 || !i.armed {
		t.Errorf("%d connections left, a sweep to come: %t", len(i.links), i.armed)
	}
	p.CloseIdle()
	i.sweep()
	if i.armed {
		t.Error("a sweep is to come for nothing")
	}
}
