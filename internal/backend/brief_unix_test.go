//go:build unix

package backend

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A backend that has kept a connection is not taken for one that never does when
// it is restarted under load: then it would lose its connections, and the
// requests on them their second attempt.
func TestRestartedBackendIsNotBrief(t *testing.T) { overBoth(t, testRestartedBackendIsNotBrief) }

func testRestartedBackendIsNotBrief(t *testing.T, over client) {
	ended := make(chan bool, 1)
	p := over.pool(scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		for range 2 + 100*n {
			head := headFrom(in)
			if head == "" {
				return
			}
			if strings.Contains(head, "Connection: close") {
				t.Error("told that the connection ends")
			}
			io.WriteString(conn, ok)
		}
		headFrom(in) // and dies
		conn.Close()
		ended <- true
	}))
	defer p.CloseIdle()
	for i := range 5 {
		if o := send(p, call(t, "GET", nil), 0); o.body != "ok" || o.err != nil {
			t.Fatalf("request %d: got %q, %v", i, o.body, o.err)
		}
	}
	receive(t, "the end of the first connection", ended)
	if p.isBrief() {
		t.Error("the backend is taken for one that keeps no connections")
	}
}

// Before a request is sent again the backend has a moment to stop listening, if
// it was killed.
func TestPauseBeforeResend(t *testing.T) {
	var died atomic.Int64
	p := directly.pool(scripted(t, func(n int, conn net.Conn, in *bufio.Reader) {
		headFrom(in)
		io.WriteString(conn, ok)
		headFrom(in)
		died.Store(time.Now().UnixNano())
	}))
	defer p.CloseIdle()
	pause := time.Duration(-1)
	connect := p.dialer.connect
	p.dialer.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		if at := died.Load(); at != 0 {
			pause = time.Duration(time.Now().UnixNano() - at)
		}
		return connect(ctx, network, address)
	}
	for range 2 {
		if o := send(p, call(t, "GET", nil), 0); o.body != "ok" || o.err != nil {
			t.Fatalf("got %q, %v", o.body, o.err)
		}
	}
	if pause < resendPause {
		t.Errorf("sent again after %v", pause)
	}
}
