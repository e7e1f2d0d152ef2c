package backend

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// A reluctant server answers the first request of each connection, all at once
// when there are as many as asked for, and does to the second what end says.
type reluctant struct {
	end func(net.Conn) // nil: reads the request and closes

	mu    sync.Mutex
	again int // requests that were not the first of their connection
	first int // those that were, after the warming up
	warm  bool
	ready sync.WaitGroup
	conns []*fragile
	fresh func(net.Conn) bool // after the warming up: whether to answer on a new connection
}

func (s *reluctant) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for n := 0; ; n++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		warm := s.warm
		if n > 0 {
			s.again++
		} else if warm {
			s.first++
		}
		s.mu.Unlock()
		switch {
		case n > 0:
			if s.end != nil {
				s.end(conn)
			}
			return
		case warm && s.fresh != nil && !s.fresh(conn):
			return
		case !warm:
			s.ready.Done()
			s.ready.Wait()
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// warmUp returns a pool with n idle connections to s.
func (s *reluctant) warmUp(t *testing.T, over client, n int, config *tls.Config) *Pool {
	ln := listen(t, loopback4)
	target := plainHTTP(ln.Addr().String())
	if config != nil {
		ln, target.Scheme, target.Insecure = tls.NewListener(ln, config), "https", true
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	p := over.pool(target)
	t.Cleanup(p.CloseIdle)
	connect := p.dialer.connect
	p.dialer.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := connect(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := &fragile{Conn: c}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns = append(s.conns, own)
		return own, nil
	}
	s.ready.Add(n)
	var warming sync.WaitGroup
	for range n {
		warming.Go(func() {
			if o := send(p, call(t, "GET", nil), 0); o.err != nil {
				t.Error(o.err)
			}
		})
	}
	warming.Wait()
	s.mu.Lock()
	s.warm = true
	s.mu.Unlock()
	return p
}

// expect compares how often a request was sent over connections that had been
// used before, and over new ones.
func (s *reluctant) expect(t *testing.T, again, first int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again != again || s.first != first {
		t.Errorf("sent %d times over old connections and %d over new ones, want %d and %d", s.again, s.first, again, first)
	}
}

// A server closes connections that were idle, as a request comes over them.
func TestStaleConnections(t *testing.T) { overBoth(t, testStaleConnections) }

func testStaleConnections(t *testing.T, over client) {
	reset := func(conn net.Conn) {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
	}
	key := []string{"Idempotency-Key", "1"}
	for _, test := range []struct {
		name, method string
		header       []string
		body         string
		end          func(net.Conn)
		again, first int // requests on connections used before, and on new ones
		ok           bool
		direct       bool // the second time by the direct client only
	}{
		{name: "GET", method: "GET", again: 1, first: 1, ok: true},
		{name: "HEAD", method: "HEAD", again: 1, first: 1, ok: true},
		{name: "OPTIONS", method: "OPTIONS", again: 1, first: 1, ok: true},
		{name: "GET, reset", method: "GET", end: reset, again: 1, first: 1, ok: true},
		// net/http does not send these again unless a header asks for it.
		{name: "PUT", method: "PUT", again: 1, first: 1, ok: true, direct: true},
		{name: "DELETE", method: "DELETE", again: 1, first: 1, ok: true, direct: true},
		{name: "DELETE with a key", method: "DELETE", header: key, again: 1, first: 1, ok: true},
		// The client's word is not enough.
		{name: "POST", method: "POST", again: 1},
		{name: "POST with a key", method: "POST", header: key, again: 1},
		{name: "PATCH with a key", method: "PATCH", header: []string{"X-Idempotency-Key", "1"}, again: 1},
		{name: "POST with a key and a body", method: "POST", header: key, body: "x", again: 1},
		{name: "PUT with a body", method: "PUT", body: "x", again: 1},
		{name: "GET with a body", method: "GET", body: "x", again: 1},
		{name: "GET, answer begun", method: "GET", end: func(conn net.Conn) { io.WriteString(conn, "H") }, again: 1},
	} {
		for kind, config := range map[string]*tls.Config{"http": nil, "https": serverTLS(t, "http/1.1")} {
			test := test
			if test.direct && (over != directly || kind == "https") {
				test.first, test.ok = 0, false
			}
			t.Run(test.name+" "+kind, func(t *testing.T) {
				s := &reluctant{end: test.end}
				p := s.warmUp(t, over, 8, config)
				var body io.Reader
				if test.body != "" {
					body = strings.NewReader(test.body)
				}
				r := call(t, test.method, body)
				for i := 0; i < len(test.header); i += 2 {
					r.Fields = append(r.Fields, Field{test.header[i], test.header[i+1]})
				}
				o := send(p, r, holdLong)
				if ok := o.err == nil && o.status == 200; ok != test.ok {
					t.Errorf("got %d %q, %v; want an answer: %t", o.status, o.body, o.err, test.ok)
				}
				s.expect(t, test.again, test.first)
			})
		}
	}
}

// A new connection that closes is not followed by another.
func TestNewConnectionCloses(t *testing.T) { overBoth(t, testNewConnectionCloses) }

func testNewConnectionCloses(t *testing.T, over client) {
	for _, stale := range []int{0, 4} {
		s := &reluctant{fresh: func(net.Conn) bool { return false }}
		p := s.warmUp(t, over, stale, nil)
		o := send(p, call(t, "GET", nil), holdLong)
		if o.err == nil {
			t.Errorf("%d stale: got an answer", stale)
		}
		s.expect(t, min(stale, 1), 1)
	}
}

// A connection that takes no byte of a request harms nobody.
func TestNothingWritten(t *testing.T) { overBoth(t, testNothingWritten) }

func testNothingWritten(t *testing.T, over client) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			s := new(reluctant)
			p := s.warmUp(t, over, 5, nil)
			for _, c := range s.conns {
				c.broken.Store(true)
			}
			if o := send(p, call(t, method, nil), 0); o.err != nil || o.status != 200 {
				t.Errorf("got %d, %v", o.status, o.err)
			}
			s.expect(t, 0, 1)
		})
	}
}

// A fragile connection can be made to fail as one does that the other side has reset.
type fragile struct {
	net.Conn
	broken atomic.Bool
}

func (c *fragile) Write(b []byte) (int, error) {
	if c.broken.Load() {
		c.Close() // reading fails as well
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(b)
}

func serverTLS(t testing.TB, protocols ...string) *tls.Config {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	return &tls.Config{Certificates: srv.TLS.Certificates, NextProtos: protocols}
}
