package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// A pipeListener accepts what is sent to it, until it is closed.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error   { close(l.closed); return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// slowReader is a client of a proxy with an HTTP/2 connection that holds nothing
// on its way. It has sent a request for size bytes, the proxy is done with it,
// and the client has not read any of it.
func slowReader(t *testing.T, cert slowCert, size int) (*Proxy, *h2conn) {
	t.Helper()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/all" {
			w.Write(make([]byte, size))
		}
	})
	table, err := NewTable([]Route{{Host: "slow.localhost", Path: "/", Backend: Backend{Name: "test", Handler: answer}}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{
		Table:          table,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.Certificate, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ln := pipeListener{make(chan net.Conn), make(chan struct{})}
	go p.Serve(ln)
	here, there := net.Pipe()
	ln.conns <- there
	t.Cleanup(func() { here.Close() })
	conn := tls.Client(here, &tls.Config{
		RootCAs:    authority().pool,
		Time:       func() time.Time { return cert.now },
		ServerName: "slow.localhost",
		NextProtos: []string{"h2"},
	})
	client := &h2conn{Framer: http2.NewFramer(conn, conn), t: t, tls: conn}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		io.WriteString(conn, http2.ClientPreface)
		client.WriteSettings()
		client.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "slow.localhost", ":path", "/")
	}()
	for ended := false; !ended; {
		frame, err := client.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		ended = frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream)
	}
	<-asked
	client.request(3, true, ":method", "GET", ":scheme", "https", ":authority", "slow.localhost", ":path", "/all")
	synctest.Wait()
	if n := p.requests.Load(); n != 0 {
		t.Fatalf("%d requests go on", n)
	}
	return p, client
}

// fits is a response that can wait, as a whole, behind whatever is being written.
const fits = coalesced - 4<<10

// A slowCert is a certificate made by the clock on the wall, as other tests need
// it, and not by that of synctest.
type slowCert struct {
	*tls.Certificate
	now time.Time
}

func newSlowCert(t *testing.T) slowCert {
	t.Helper()
	cert, err := authority().leaf("slow.localhost")
	if err != nil {
		t.Fatal(err)
	}
	return slowCert{cert, time.Now()}
}

// A shutdown waits for the end of a response that is still to be written, when
// the request itself is over.
func TestShutdownWaitsForSlowReaders(t *testing.T) {
	cert := newSlowCert(t)
	synctest.Test(t, func(t *testing.T) {
		const size = fits
		p, client := slowReader(t, cert, size)
		down := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			down <- p.Shutdown(ctx)
		}()
		time.Sleep(2 * quietTime)
		got, ended := 0, false
		for !ended {
			frame, err := client.ReadFrame()
			if err != nil {
				t.Fatalf("after %d of %d bytes: %v", got, size, err)
			}
			if data, ok := frame.(*http2.DataFrame); ok {
				got, ended = got+len(data.Data()), data.StreamEnded()
			}
		}
		if got != size {
			t.Errorf("got %d bytes, want %d", got, size)
		}
		go io.Copy(io.Discard, client.tls)
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// Those that do not read at all are left when the time of the shutdown is over.
func TestShutdownLeavesStalledReaders(t *testing.T) {
	cert := newSlowCert(t)
	synctest.Test(t, func(t *testing.T) {
		p, _ := slowReader(t, cert, fits)
		const limit = time.Second
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		began := time.Now()
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: got %v, want that time ran out", err)
		}
		if took := time.Since(began); took > limit+closeTime {
			t.Errorf("Shutdown took %v, want %v", took, limit)
		}
	})
}

// At a shutdown, a goodbye for which there is no room does not wait for it:
// net/http closes one connection after the other.
func TestCoalesceGoodbyeWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(gatherings)
		g, _ := coalescing(t, shared)
		g.Write([]byte("stalls"))
		synctest.Wait()
		g.Write(make([]byte, coalesced))
		shared.haste.Store(true)
		began := time.Now()
		if _, err := g.Write([]byte("goodbye")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
		g.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("closed after %v", took)
		}
	})
}
