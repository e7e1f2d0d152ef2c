//go:build unix

package backend

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

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
