package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// stillServes asks for a page on a new connection.
func (f *fixture) stillServes(t *testing.T) {
	t.Helper()
	if res, body := get(t, f.client(t, "h2"), f.url("app.localhost", "/"), "Connection", "close"); res.StatusCode != 200 || body != "fine" {
		t.Errorf("another client got %d %q", res.StatusCode, body)
	}
}

// A client that floods a connection ends that connection at most.
func TestFloods(t *testing.T) {
	for _, test := range []struct {
		name  string
		flood func(conn *h2conn, i int) error
		ends  bool // the server has to end the connection, however patient the client
	}{
		{"SETTINGS", func(conn *h2conn, i int) error {
			return conn.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
		}, false},
		{"PING", func(conn *h2conn, i int) error { return conn.WritePing(false, [8]byte{byte(i)}) }, true},
		{"CONTINUATION", func(conn *h2conn, i int) error {
			if i == 0 {
				return conn.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			}
			return conn.WriteContinuation(1, false, []byte(strings.Repeat("\x82", 1<<10)))
		}, true},
		{"empty CONTINUATION", func(conn *h2conn, i int) error {
			if i == 0 {
				return conn.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			}
			return conn.WriteContinuation(1, false, nil)
		}, false},
		{"streams that are reset", func(conn *h2conn, i int) error {
			id := uint32(2*i + 1)
			conn.request(id, true, ":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path", "/")
			return conn.WriteRSTStream(id, http2.ErrCodeCancel)
		}, false},
		{"empty DATA", func(conn *h2conn, i int) error {
			if i == 0 {
				conn.request(1, false, ":method", "POST", ":scheme", "https", ":authority", "app.localhost", ":path", "/")
			}
			return conn.WriteData(1, false, nil)
		}, false},
		{"PRIORITY", func(conn *h2conn, i int) error {
			return conn.WritePriority(uint32(2*i+1), http2.PriorityParam{})
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, Route{Host: "app.localhost", Path: "/", Backend: app(t, says("fine"))})
			conn := f.connectH2(t, "app.localhost") // nothing more is read from it
			conn.tls.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
			most := 20_000
			if test.ends {
				most = 1_000_000 // answers fill the server's socket first
			}
			var err error
			var sent int
			for sent < most && err == nil {
				err = test.flood(conn, sent)
				sent++
			}
			if ended := err != nil; test.ends && !ended {
				t.Errorf("the connection took %d frames", sent)
			}
			f.stillServes(t)
		})
	}
}

// What a connection is used for decides how long it may stay: one without a
// request is closed, also when it pretends to be sending one.
func TestHalfRequestIsNoRequest(t *testing.T) {
	f := startWith(t, func(p *Proxy) { p.https.IdleTimeout = 100 * time.Millisecond })
	for _, half := range []func(conn *h2conn){
		func(*h2conn) {},
		func(conn *h2conn) {
			conn.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		},
	} {
		conn := f.connectH2(t, "app.localhost")
		half(conn)
		for {
			_, err := conn.ReadFrame()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				t.Fatalf("got %v, want that the connection is closed", err)
			}
		}
	}
}

// Handshakes and heads of requests that never end are ended.
func TestSlowBeginnings(t *testing.T) {
	f := startWith(t, func(p *Proxy) { p.https.ReadHeaderTimeout = 200 * time.Millisecond })
	tcp := func(t *testing.T) net.Conn {
		conn, err := net.Dial("tcp", f.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	h1 := func(t *testing.T) net.Conn { return f.connect(t, "app.localhost") }
	for name, test := range map[string]struct {
		dial func(*testing.T) net.Conn
		drip string
	}{
		"nothing":                {tcp, ""},
		"handshake":              {tcp, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 400)},
		"nothing over HTTP/1.1":  {h1, ""},
		"request line, HTTP/1.1": {h1, "GET /" + strings.Repeat("x", 400)},
		"header, HTTP/1.1":       {h1, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 400)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := test.dial(t)
			closed := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, conn)
				closed <- err
			}()
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			end := time.After(patience)
			for i := 0; ; i++ {
				select {
				case err := <-closed:
					if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
						t.Errorf("got %v, want that the connection is closed", err)
					}
					return
				case <-tick.C:
					if i < len(test.drip) {
						conn.Write([]byte{test.drip[i]})
					}
				case <-end:
					t.Fatal("the connection is still open")
				}
			}
		})
	}
}

// startWith is start with settings changed before anything is served. Its one
// route answers "fine".
func startWith(t *testing.T, change func(*Proxy)) *fixture {
	t.Helper()
	table, err := NewTable([]Route{{Host: "app.localhost", Path: "/", Backend: app(t, says("fine"))}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Table: table, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return authority().leaf(hello.ServerName)
	}})
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	ln := listen(t, loopback4)
	served := make(chan error, 1)
	go func() { served <- p.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p.Shutdown(ctx)
		<-served
	})
	return &fixture{Proxy: p, table: table, addr: ln.Addr().(*net.TCPAddr).AddrPort()}
}

// A client that does not read holds its own backend back, and nobody else.
func TestClientThatDoesNotRead(t *testing.T) {
	both(t, func(t *testing.T, protocol string) {
		var written atomic.Int64
		stuck := make(chan bool)
		f := start(t,
			Route{Host: "app.localhost", Path: "/endless", Backend: rawBackend(t, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				chunk := make([]byte, 64<<10)
				for {
					// Nobody takes anything for so long: the path is full.
					conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
					n, err := conn.Write(chunk)
					written.Add(int64(n))
					if err != nil {
						close(stuck)
						return
					}
				}
			})},
			Route{Host: "app.localhost", Path: "/", Backend: app(t, says("fine"))},
		)
		if protocol == "h1" {
			io.WriteString(f.connect(t, "app.localhost"), "GET /endless HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
		} else {
			f.connectH2(t, "app.localhost").request(1, true, ":method", "GET", ":scheme", "https", ":authority", "app.localhost", ":path", "/endless")
		}
		receive(t, "the backend to be held back", stuck)
		// Sockets have buffers, of up to some MiB each.
		if n := written.Load(); n > 64<<20 {
			t.Errorf("the backend could write %d MiB that nobody read", n>>20)
		}
		f.stillServes(t)
	})
}
