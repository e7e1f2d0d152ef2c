package e2e

import (
	"bytes"
	"crypto/tls"
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

	"golang.org/x/sys/unix"
)

// dialTLS opens a connection for a host, trusting the home's root.
func (s *server) dialTLS(t *testing.T, host string, alpn ...string) (*tls.Conn, error) {
	t.Helper()
	config := &tls.Config{RootCAs: s.home.pool(t), ServerName: host, NextProtos: alpn}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.addr(), config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * patience))
	return conn, nil
}

// TestResetStorm has a page cancel thousands of requests at once, to a backend
// that is slow to notice. The connection stays.
func TestResetStorm(t *testing.T) {
	notice := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-notice
		}
		io.WriteString(w, "fine")
	}))
	t.Cleanup(backend.Close)
	t.Cleanup(sync.OnceFunc(func() { close(notice) })) // before the backend waits for its handlers
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf(`routes."app.localhost" = %q`, backend.URL))
	conn, _ := s.dialH2(t, "app.localhost")

	const streams = 5000
	const last = 2*streams + 1
	answered := make(chan error, 1)
	go func() {
		for {
			f, err := readFrame(conn)
			switch {
			case err != nil:
				answered <- err
			case f.kind == frameGoAway:
				answered <- fmt.Errorf("GOAWAY %x", f.payload)
			case f.kind == frameData && f.stream == last && string(f.payload) == "fine":
				answered <- nil
			default:
				continue
			}
			return
		}
	}()
	var batch bytes.Buffer
	for i := range uint32(streams) {
		id := 2*i + 1
		batch.Write(get(id, "app.localhost", "/slow").bytes())
		batch.Write(h2frame{frameRST, 0, id, []byte{0, 0, 0, 8}}.bytes()) // CANCEL
	}
	batch.Write(get(last, "app.localhost", "/").bytes())
	if _, err := batch.WriteTo(conn); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("the request after the storm: %v", err)
		}
	case <-time.After(patience):
		t.Error("the request after the storm is not answered")
	}
}

// TestSlowloris holds thousands of connections that say a byte now and then.
// Others are served meanwhile, all are closed in the end, and they are cheap.
func TestSlowloris(t *testing.T) {
	const each = 667 // of three kinds
	h := newHome(t)
	s := start(t, h, head+`routes."app.localhost" = "builtin:hello"`)
	client := s.client(t)
	s.get(t, client, "app.localhost", "/")
	before := s.memory(t)

	hello := clientHello([]byte("app.localhost"))
	handshake := func() (net.Conn, error) { return net.Dial("tcp", s.addr()) }
	withALPN := func(alpn string) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			conn, err := s.dialTLS(t, "app.localhost", alpn)
			return conn, err
		}
	}
	var wg sync.WaitGroup
	var open, broken atomic.Int64
	var mu sync.Mutex
	var problems []error
	limit := make(chan struct{}, 4) // handshakes at once
	for _, kind := range []struct {
		dial func() (net.Conn, error)
		drip []byte
	}{
		{handshake, hello},
		{withALPN("http/1.1"), []byte("GET / HTTP/1.1\r\nX-Slow: " + strings.Repeat("x", 100))},
		{withALPN("h2"), []byte("PRI * HTTP/2.0\r\n\r\n")},
	} {
		for range each {
			wg.Go(func() {
				limit <- struct{}{}
				conn, err := kind.dial()
				<-limit
				if err != nil {
					mu.Lock()
					problems = append(problems, err)
					mu.Unlock()
					return
				}
				defer conn.Close()
				open.Add(1)
				conn.SetDeadline(time.Now().Add(2 * patience))
				go dribble(conn, kind.drip)
				if _, err := io.Copy(io.Discard, conn); !errors.Is(err, net.ErrClosed) {
					if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
						broken.Add(1)
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	most := 0
	for served := 0; ; served++ {
		s.get(t, s.client(t), "app.localhost", "/")
		most = max(most, s.memory(t))
		select {
		case <-done:
			if len(problems) > 0 {
				t.Fatalf("%d connections failed, the first by %v", len(problems), problems[0])
			}
			if open.Load() != 3*each || broken.Load() != 3*each {
				t.Errorf("of %d connections the server closed %d", open.Load(), broken.Load())
			}
			t.Logf("%d requests served meanwhile; memory rose from %d to %d KiB", served, before, most)
			// 50 KiB for each, which is what a TLS connection takes.
			if perConn := (most - before) / (3 * each); perConn > 100 {
				t.Errorf("%d KiB for each connection", perConn)
			}
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// dribble writes a byte a second until the connection is closed.
func dribble(conn net.Conn, text []byte) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range text {
		if _, err := conn.Write(text[i : i+1]); err != nil {
			return
		}
		<-tick.C
	}
}

// TestStuckClients has clients ask for an endless download and not read it.
func TestStuckClients(t *testing.T) {
	const clients = 40
	chunk := make([]byte, 64<<10)
	var stuck atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/endless" {
			io.WriteString(w, "fine")
			return
		}
		control := http.NewResponseController(w)
		for {
			control.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := w.Write(chunk); err != nil {
				stuck.Add(1)
				return
			}
		}
	}))
	t.Cleanup(backend.Close)
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf(`routes."app.localhost" = %q`, backend.URL))
	s.get(t, s.client(t), "app.localhost", "/")
	before := s.memory(t)
	for i := range clients {
		if i%2 == 0 {
			conn, _ := s.dialH2(t, "app.localhost")
			conn.Write(get(1, "app.localhost", "/endless").bytes())
			continue
		}
		conn, err := s.dialTLS(t, "app.localhost", "http/1.1")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET /endless HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
	}
	for deadline := time.Now().Add(patience); stuck.Load() < clients; time.Sleep(50 * time.Millisecond) {
		s.get(t, s.client(t), "app.localhost", "/")
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d backends are held back", stuck.Load(), clients)
		}
	}
	after := s.memory(t)
	t.Logf("memory rose from %d to %d KiB", before, after)
	if perClient := (after - before) / clients; perClient > 1<<10 {
		t.Errorf("%d KiB for each client", perClient)
	}
}

// TestOutOfDescriptors takes all file descriptors that devproxy may have.
// Connections that are open still work, new ones are closed rather than left
// to wait, and once there are descriptors again all is well.
func TestOutOfDescriptors(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }))
	t.Cleanup(backend.Close)
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf(`routes."app.localhost" = %q`, backend.URL))
	few := unix.Rlimit{Cur: 64, Max: 64}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	old := s.client(t)
	s.get(t, old, "app.localhost", "/")

	var held []net.Conn
	for range 3 { // it is not the first refusal that matters
		for {
			conn, err := s.dialTLS(t, "app.localhost")
			if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
				t.Fatalf("connection %d is left to wait: %v", len(held), err)
			}
			if err != nil {
				break
			}
			if held = append(held, conn); len(held) > 64 {
				t.Fatal("64 descriptors are enough for more than 64 connections")
			}
		}
	}
	if len(held) < 30 {
		t.Errorf("only %d connections before the end", len(held))
	}
	s.get(t, old, "app.localhost", "/")
	const msg = "out of file descriptors: new connections are closed unanswered"
	line := s.waitLog(t, msg, nil)
	hint, _ := line["hint"].(string)
	if line["limit"] != 64.0 || !strings.Contains(hint, "ulimit -n") || line["level"] != "error" {
		t.Errorf("got %v, want the limit and how to raise it", line)
	}
	for _, conn := range held {
		conn.Close()
	}
	recovered := false
	for deadline := time.Now().Add(patience); !recovered && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := s.dialTLS(t, "app.localhost"); err == nil {
			conn.Close()
			recovered = true
		}
	}
	if !recovered {
		t.Error("new connections are refused with descriptors to spare")
	}
	s.get(t, s.client(t), "app.localhost", "/")
	s.waitLog(t, "connections are accepted again", nil)
	if n := strings.Count(s.errors(), msg); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
}
