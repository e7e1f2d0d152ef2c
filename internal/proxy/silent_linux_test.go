package proxy

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// silent returns the address of a listener that answers no more connections:
// its queue is full, and Linux then drops what comes, as a machine does that
// is off.
func silent(t *testing.T) string {
	t.Helper()
	ln := listen(t, loopback4)
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	for range 10 {
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), 200*time.Millisecond)
		if err != nil {
			return ln.Addr().String()
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the listener's queue does not fill")
	panic("unreachable")
}

// A backend that does not even refuse is given up soon; the kernel alone takes
// minutes. It has time enough for a machine that is far away.
func TestSilentBackend(t *testing.T) {
	t.Parallel() // it only waits
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: at(silent(t))})
	began := time.Now()
	res, body := get(t, f.client(t, "h1"), f.url("app.localhost", "/"))
	if took := time.Since(began); res.StatusCode != 504 || took < 2*time.Second {
		t.Errorf("got %d after %v, want 504 after some seconds: %s", res.StatusCode, took, body)
	}
}
