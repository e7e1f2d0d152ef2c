//go:build unix

package backend

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
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
	if i := p.generation.Load().idle; len(i.links) != 20 {
		t.Errorf("%d idle connections", len(i.links))
	}
	// A turn of the watch lasts for a moment.
	eventually(t, "no goroutine of the client", func() bool { return goroutinesIn("devproxy/internal/backend.(*") == 0 })
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

// A call says when it lasts: before it waits for a connection, and when there is no
// answer in a moment. Most others say nothing.
func TestLasts(t *testing.T) {
	slow := make(chan bool, 1)
	p := newPool(scripted(t, func(_ int, conn net.Conn, in *bufio.Reader) {
		for head := headFrom(in); head != ""; head = headFrom(in) {
			if strings.HasPrefix(head, "POST") {
				select {
				case <-slow:
				case <-time.After(patience):
					return
				}
			}
			io.WriteString(conn, ok)
		}
	}), nil)
	defer p.CloseIdle()
	var lasting int
	c := call(t, "GET", nil)
	c.Lasts = func() { lasting++ }
	if o := send(p, c, 0); o.err != nil || lasting == 0 {
		t.Errorf("over a new connection: %d times, %v", lasting, o.err)
	}
	const most = 100
	lasting = 0
	for range most {
		c := call(t, "GET", nil)
		c.Lasts = func() { lasting++ }
		if o := send(p, c, 0); o.err != nil {
			t.Fatal(o.err)
		}
	}
	if lasting > most/2 {
		t.Errorf("%d of %d quick ones say that they last", lasting, most)
	}
	c = call(t, "POST", nil)
	c.Lasts = func() { slow <- true }
	if o := send(p, c, 0); o.err != nil {
		t.Error(o.err)
	}
}
