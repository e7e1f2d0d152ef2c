//go:build unix

package backend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// scripted returns a server whose n-th connection, from 0, is for serve.
func scripted(t testing.TB, serve func(n int, conn net.Conn, in *bufio.Reader)) Target {
	t.Helper()
	ln := listen(t, loopback4)
	go func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(n, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return plainHTTP(ln.Addr().String())
}

// headFrom reads a request's head, "" at the end.
func headFrom(in *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		if head.WriteString(line); line == "\r\n" {
			return head.String()
		}
	}
}

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	unasked = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
)

// A backend dies while its client sends nothing. That is noticed at once.
func TestDiesInMidUpload(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closes": func(net.Conn) {},
		"resets": func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) },
	} {
		t.Run(name, func(t *testing.T) {
			p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				headFrom(in)
				in.ReadByte()
				end(conn)
			}))
			body, client := io.Pipe()
			defer client.Close()
			go client.Write([]byte("some"))
			got := make(chan outcome, 1)
			c := call(t, "POST", nil)
			c.Body, c.Length = body, 1000
			go func() { got <- send(p, c, 0) }()
			if o := receive(t, "the end", got); o.err == nil {
				t.Errorf("got %d, want an error", o.status)
			}
		})
	}
}

// What is sent unasked answers no request, whether it comes with a response or
// after it.
func TestUnasked(t *testing.T) {
	for name, first := range map[string]string{
		"length":     ok,
		"chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"no content": "HTTP/1.1 204 No Content\r\n\r\n",
		"1xx":        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok,
	} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " later:", later), func(t *testing.T) {
				answered, sent := make(chan bool, 1), make(chan bool, 1)
				p := directly.pool(scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
					headFrom(in)
					switch {
					case n > 0:
						io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
					case later:
						io.WriteString(conn, first)
						<-answered
						io.WriteString(conn, unasked)
						sent <- true
					default:
						io.WriteString(conn, first+unasked)
					}
					in.ReadByte()
				}))
				defer p.CloseIdle()
				if o := send(p, call(t, "GET", nil), 0); o.err != nil || o.body != "ok" && o.status != 204 {
					t.Fatalf("first: got %q, %v", o.body, o.err)
				}
				if later {
					answered <- true
					receive(t, "what is unasked", sent)
				}
				// A POST goes nowhere again.
				if o := send(p, call(t, "POST", nil), 0); o.body != "second" {
					t.Errorf("second: got %q, %v", o.body, o.err)
				}
			})
		}
	}
}

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

// The end of a call ends what waits, and the connection is closed.
func TestCancel(t *testing.T) {
	for way, ending := range endings {
		t.Run(way, func(t *testing.T) {
			overBoth(t, func(t *testing.T, over client) { testCancel(t, over, ending) })
		})
	}
}

func testCancel(t *testing.T, over client, ending func(*Call) context.CancelCauseFunc) {
	reason := errors.New("the reason")
	for name, test := range map[string]struct {
		response string // what comes before the wait
		upload   bool
	}{
		"before the response":  {"", false},
		"in the head":          {"HTTP/1.1 200 OK\r\nContent-", false},
		"after a 1xx":          {"HTTP/1.1 103 Early Hints\r\n\r\n", false},
		"in the body":          {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.", false},
		"in chunks":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive.\r\n", false},
		"in an endless body":   {"HTTP/1.1 200 OK\r\n\r\nfive.", false},
		"in an upload":         {"", true},
		"in an upload, echoed": {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.", true},
	} {
		if test.upload && over == viaNetHTTP {
			continue // it waits for the client, which sends nothing
		}
		t.Run(name, func(t *testing.T) {
			asked, gone := make(chan bool, 1), make(chan bool, 1)
			p := over.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				headFrom(in)
				io.WriteString(conn, test.response)
				asked <- true
				io.Copy(io.Discard, in)
				gone <- true
			}))
			c := call(t, "GET", nil)
			cancel := ending(c)
			defer cancel(nil)
			if test.upload {
				body, client := io.Pipe()
				defer client.Close()
				c.Method, c.Body, c.Length = "POST", body, -1
			}
			got := make(chan outcome, 1)
			go func() { got <- send(p, c, 0) }()
			receive(t, "the request", asked)
			cancel(reason)
			if o := receive(t, "the end of the request", got); !errors.Is(o.err, reason) {
				t.Errorf("got %v, want the cause of its end", o.err)
			}
			receive(t, "the end of the connection", gone)
			cancel(errors.New("another reason"))
			if got := c.Cause(); got != reason {
				t.Errorf("the cause is %v afterwards", got)
			}
		})
	}
	t.Run("already", func(t *testing.T) {
		c := call(t, "GET", nil)
		ending(c)(reason)
		if o := send(over.pool(scripted(t, func(int, net.Conn, *bufio.Reader) {})), c, 0); !errors.Is(o.err, reason) {
			t.Errorf("got %v", o.err)
		}
	})
}

// A call that ends as its response does leaves no connection behind: its
// interruption may come at any time.
func TestCancelAtTheEnd(t *testing.T) {
	for way, ending := range endings {
		p := directly.pool(canned(t, ok))
		c := call(t, "GET", nil)
		cancel := ending(c)
		connect := p.dialer.connect
		p.dialer.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := connect(ctx, network, address)
			return lastConn{conn, func() {
				p.watch.turn()
				p.watch.turn() // it is old
				cancel(nil)
			}}, err
		}
		if o := send(p, c, 0); o.body != "ok" || o.err != nil {
			t.Errorf("%s: got %q, %v, want what had come", way, o.body, o.err)
		}
		if i := p.generation.Load().idle; len(i.links) > 0 {
			t.Errorf("%s: the connection is kept", way)
		}
	}
}

// A call that is ended after its response has nothing to do with the connection.
func TestCancelAfterTheEnd(t *testing.T) {
	for way, ending := range endings {
		p := directly.pool(canned(t, ok))
		dials := counted(p)
		c := call(t, "GET", nil)
		cancel := ending(c)
		send(p, c, 0)
		cancel(nil)
		if o := send(p, call(t, "GET", nil), 0); o.body != "ok" || o.err != nil || dials.Load() != 1 {
			t.Errorf("%s: then got %q, %v over connection %d", way, o.body, o.err, dials.Load())
		}
	}
}

// A lastConn calls read when something was read.
type lastConn struct {
	net.Conn
	read func()
}

func (c lastConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read()
	return n, err
}

// Close ends the exchange, however often it is called, also while the body is
// read.
func TestCloseEarly(t *testing.T) {
	response := "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 500_000)
	gone := make(chan bool, 1)
	p := directly.pool(scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		headFrom(in)
		io.WriteString(conn, response)
		in.ReadByte()
		gone <- true
	}))
	for range 50 {
		res, err := p.Do(call(t, "GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, res.Body)
			ended <- err
		}()
		var closing sync.WaitGroup
		for range 2 {
			closing.Go(func() { res.Body.Close() })
		}
		closing.Wait()
		if err := receive(t, "the end of reading", ended); err == nil {
			t.Error("the body was whole")
		}
		receive(t, "the end of the connection", gone)
		if n, err := res.Body.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d, %v after Close", n, err)
		}
	}
	if i := p.generation.Load().idle; len(i.links) > 0 {
		t.Errorf("%d connections were kept", len(i.links))
	}
}

// Nobody runs for a connection that is idle, nor for a GET.
func TestNoGoroutines(t *testing.T) {
	release := make(chan bool)
	p := directly.pool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
		for headFrom(in) != "" {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
			<-release
			io.WriteString(conn, "ok")
		}
	}))
	var bodies []io.ReadCloser
	for range 20 {
		res, err := p.Do(call(t, "GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, res.Body)
	}
	// The server has one for each connection.
	eventually(t, "no goroutine of the client", func() bool { return goroutinesIn("devproxy/internal/backend.(*") == 0 })
	close(release)
	for _, body := range bodies {
		io.ReadAll(body)
	}
	if i := p.generation.Load().idle; len(i.links) != 20 || goroutinesIn("devproxy/internal/backend.(*") > 0 {
		t.Errorf("%d idle connections, %d goroutines", len(i.links), goroutinesIn("devproxy/internal/backend.(*"))
	}
	p.CloseIdle()
}

// goroutinesIn returns how many goroutines are in a function of that name.
func goroutinesIn(name string) (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, name) && !strings.Contains(stack, "testing.tRunner") {
			n++
		}
	}
	return n
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

// The head of a response goes where the call wants it, that of none before it.
func TestHeaderIsPlaced(t *testing.T) { overBoth(t, testHeaderIsPlaced) }

func testHeaderIsPlaced(t *testing.T, over client) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nX-Final: yes\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nX-Final: yes\nContent-Length: 2\n\nok", // not plain
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nPragma: no-cache\r\nX-Final: yes\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\nHTTP/1.1 200 OK\r\nX-Final: yes\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\nX-Early: yes\n\nHTTP/1.1 200 OK\r\nX-Final: yes\r\nContent-Length: 2\r\n\r\nok",
	} {
		p := over.pool(canned(t, response))
		c := call(t, "GET", nil)
		c.Header = make(http.Header)
		c.Interim = func(_ int, header http.Header) error {
			if len(c.Header) > 0 || header.Get("X-Early") == "" {
				t.Errorf("%q: interim head %v, and %v", response, header, c.Header)
			}
			return nil
		}
		if o := send(p, c, 0); o.body != "ok" || o.err != nil {
			t.Fatalf("%q: got %q, %v", response, o.body, o.err)
		}
		if c.Header.Get("X-Final") != "yes" || c.Header.Get("X-Early") != "" {
			t.Errorf("%q: got %v", response, c.Header)
		}
		p.CloseIdle()
	}
}

// A GET costs little memory.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	p := directly.pool(canned(t, headOfResponse+"Content-Length: 2\r\n\r\nok"))
	defer p.CloseIdle()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	buf := make([]byte, 100)
	c := &Call{Context: ctx, Method: http.MethodGet, Path: "/", Host: "app.localhost", Fields: browserFields}
	got := testing.AllocsPerRun(100, func() {
		res, err := p.Do(c)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.Body.Read(buf); n != 2 || err != io.EOF {
			t.Fatal(n, err)
		}
		res.Body.Close()
	})
	if got > 5 {
		t.Errorf("a GET makes %v allocations, want 5 at most", got)
	}
}
