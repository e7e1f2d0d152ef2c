package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// coalescing returns a connection that coalesces, and its other end.
func coalescing(t *testing.T, shared *gatherings) (*gatherer, net.Conn) {
	here, there := net.Pipe()
	g := newGatherer(here, shared)
	g.coalesce()
	t.Cleanup(func() { here.Close(); there.Close() })
	return g, there
}

// What is written in one moment goes out in one write.
func TestCoalesce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nobody else runs between the writes
	conn := &recordingConn{done: make(chan struct{}, 10)}
	g := newGatherer(conn, new(gatherings))
	g.coalesce()
	for _, piece := range []string{"head, ", "body, ", "end"} {
		if n, err := g.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	}
	receive(t, "write", conn.done)
	g.late.flush()
	if len(conn.calls) != 1 || string(conn.calls[0]) != "head, body, end" {
		t.Errorf("got %q", conn.calls)
	}
}

// All arrives in order, whatever its size.
func TestCoalesceKeepsOrder(t *testing.T) {
	g, there := coalescing(t, new(gatherings))
	var sent []byte
	go func() {
		for i := range 300 {
			piece := bytes.Repeat([]byte{byte(i)}, i*i%(3*coalesced))
			g.Write(piece)
		}
		g.Close()
	}()
	for i := range 300 {
		sent = append(sent, bytes.Repeat([]byte{byte(i)}, i*i%(3*coalesced))...)
	}
	got, err := io.ReadAll(there)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(sent))
	}
}

// What was written before the end of a connection arrives: crypto/tls lets writing
// fail when it has said goodbye, and closes then.
func TestCoalesceBeforeTheEnd(t *testing.T) {
	for range 100 {
		g, there := coalescing(t, new(gatherings))
		go func() {
			g.SetWriteDeadline(time.Now().Add(flushTime))
			g.Write([]byte("goodbye"))
			g.SetWriteDeadline(time.Now())
			g.Close()
		}()
		if got, err := io.ReadAll(there); string(got) != "goodbye" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// A client that does not read holds no more memory than two buffers, and the end
// of its connection up for flushTime, or not at all at a shutdown.
func TestCoalesceStalled(t *testing.T) {
	for name, tt := range map[string]struct {
		haste bool
		want  time.Duration
	}{
		"connection": {false, flushTime},
		"shutdown":   {true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := new(gatherings)
				g, _ := coalescing(t, shared)
				written := make(chan int, 1)
				go func() {
					n, err := g.Write(make([]byte, 10*coalesced))
					if err == nil {
						t.Error("no error from a connection that was closed")
					}
					written <- n
				}()
				synctest.Wait()
				select {
				case n := <-written:
					t.Errorf("%d bytes were taken", n)
				default:
				}
				shared.haste.Store(tt.haste)
				began := time.Now()
				g.Close()
				if got := time.Since(began); got != tt.want {
					t.Errorf("closed after %v, want %v", got, tt.want)
				}
				if n := <-written; n > 2*coalesced {
					t.Errorf("%d bytes were taken", n)
				}
			})
		})
	}
}

// A failure is that of the next write.
func TestCoalesceFails(t *testing.T) {
	conn := &recordingConn{err: os.ErrDeadlineExceeded, done: make(chan struct{}, 10)}
	g := newGatherer(conn, new(gatherings))
	g.coalesce()
	if _, err := g.Write([]byte("lost")); err != nil {
		t.Errorf("got %v at once", err)
	}
	receive(t, "write", conn.done)
	g.late.flush()
	if n, err := g.Write([]byte("refused")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d, %v", n, err)
	}
	if len(conn.calls) != 1 {
		t.Errorf("%d writes", len(conn.calls))
	}
}
