package backend

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An h2server speaks HTTP/2 by hand. The n-th connection, from 0, is for serve.
type h2server struct {
	*http2.Framer
	net.Conn
}

func serveH2(t *testing.T, serve func(n int, s h2server)) *Pool {
	ln := listen(t, loopback4)
	var conns sync.WaitGroup
	go func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
					return
				}
				s := h2server{http2.NewFramer(conn, conn), conn}
				s.WriteSettings()
				serve(n, s)
			})
		}
	}()
	p := new(Pools).Get(Target{Scheme: "h2c", Address: ln.Addr().String()}, nil)
	t.Cleanup(func() { p.CloseIdle(); ln.Close(); conns.Wait() })
	return p
}

// next returns the stream of the next request, 0 at the end.
func (s h2server) next() uint32 {
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			return 0
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				s.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			return frame.StreamID
		}
	}
}

func (s h2server) answer(stream uint32, text string) {
	var block strings.Builder
	hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	s.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true})
	s.WriteData(stream, true, []byte(text))
}

// Over HTTP/2 a server says which requests it has not looked at, and only those
// are sent again, by whatever method.
func TestHTTP2SendsAgain(t *testing.T) {
	t.Run("GOAWAY", func(t *testing.T) {
		p := serveH2(t, func(n int, s h2server) {
			if n == 0 {
				s.answer(s.next(), "first")
				looked := s.next()
				s.next()
				s.WriteGoAway(looked, http2.ErrCodeNo, nil)
				s.answer(looked, "old")
				s.next()
				return
			}
			for stream := s.next(); stream != 0; stream = s.next() {
				s.answer(stream, "new")
			}
		})
		send(p, call(t, "GET", nil), 0) // so that the two share a connection
		got := make(chan outcome, 2)
		for range 2 {
			go func() { got <- send(p, call(t, "POST", nil), 0) }()
		}
		one, two := receive(t, "an answer", got), receive(t, "the other answer", got)
		if one.err != nil || two.err != nil || one.body == two.body {
			t.Errorf("got %v and %v, want one old and one new answer", one, two)
		}
	})
	t.Run("refused stream", func(t *testing.T) {
		p := serveH2(t, func(_ int, s h2server) {
			s.WriteRSTStream(s.next(), http2.ErrCodeRefusedStream)
			s.answer(s.next(), "second")
			s.next()
		})
		if o := send(p, call(t, "POST", nil), 0); o.body != "second" || o.err != nil {
			t.Errorf("got %q, %v", o.body, o.err)
		}
	})
	for name, end := range map[string]func(s h2server, stream uint32){
		"closes":         func(h2server, uint32) {},
		"resets":         func(s h2server, stream uint32) { s.WriteRSTStream(stream, http2.ErrCodeInternal); s.next() },
		"GOAWAY, seen":   func(s h2server, stream uint32) { s.WriteGoAway(stream, http2.ErrCodeNo, nil) },
		"GOAWAY, broken": func(s h2server, stream uint32) { s.WriteGoAway(stream, http2.ErrCodeInternal, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			p := serveH2(t, func(_ int, s h2server) {
				conns.Add(1)
				s.answer(s.next(), "first")
				if stream := s.next(); stream != 0 {
					end(s, stream)
				}
			})
			send(p, call(t, "GET", nil), 0)
			if o := send(p, call(t, "GET", nil), holdLong); o.err == nil {
				t.Errorf("got %q, want an error", o.body)
			}
			if conns.Load() != 1 {
				t.Errorf("sent again over a new connection")
			}
		})
	}
}

// A response that nobody reads takes little memory, however much the backend
// has to send.
func TestStreamWindow(t *testing.T) {
	took := make(chan int, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		n := 0
		for buf := make([]byte, 16<<10); n < 16<<20; n += len(buf) {
			if _, err := w.Write(buf); err != nil {
				break
			}
		}
		took <- n
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()
	p := new(Pools).Get(Target{Scheme: "https", Address: address, ServerName: "example.com", Insecure: true}, nil)
	defer p.CloseIdle()
	res, err := p.Do(call(t, http.MethodGet, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n := receive(t, "the backend to give up", took); res.ProtoMajor != 2 || n > 2*streamWindow {
		t.Errorf("over HTTP/%d the backend could send %d bytes, want %d or not many more", res.ProtoMajor, n, streamWindow)
	}
}
