package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// slow starts a backend whose "/slow" answers when release is closed. begun
// says that a request has arrived.
func slow(t *testing.T) (url string, begun, release chan struct{}) {
	t.Helper()
	begun, release = make(chan struct{}, 100), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		io.WriteString(w, secret)
	}))
	t.Cleanup(backend.Close)
	return backend.URL, begun, release
}

// TestShutdown interrupts devproxy while it works.
func TestShutdown(t *testing.T) {
	url, begun, release := slow(t)
	h := newHome(t)
	s := start(t, h, head+fmt.Sprintf("[routes]\n\"app.localhost\" = %q\n\"socket.localhost\" = %q\n", url, echo(t)))
	client := s.client(t)

	over1 := s.client(t)
	over1.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	over1.Timeout = 0
	ws, _, err := websocket.Dial(t.Context(), s.url("socket.localhost", "/ws"), &websocket.DialOptions{HTTPClient: over1})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	closed := make(chan error, 1)
	go func() {
		_, _, err := ws.Read(context.Background())
		closed <- err
	}()
	var failed atomic.Pointer[error]
	answers := make(chan string, 2)
	for _, c := range []*http.Client{client, over1} {
		go func() {
			resp, err := c.Get(s.url("app.localhost", "/slow"))
			if err != nil {
				failed.Store(&err)
				answers <- ""
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
	}
	<-begun
	<-begun

	s.cmd.Process.Signal(os.Interrupt)
	s.waitLog(t, "shutting down", nil)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", s.addr())
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			conn.Close()
		}
		if time.Now().After(deadline) {
			t.Fatalf("new connections are accepted during the shutdown: %v", err)
		}
	}
	select {
	case <-s.exited:
		t.Fatal("devproxy ended before its requests")
	default:
	}
	close(release)
	for range 2 {
		if got := <-answers; got != secret {
			t.Errorf("a running request got %q, want %q (%v)", got, secret, failed.Load())
		}
	}
	released := time.Now()
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatal("devproxy does not end")
	}
	t.Logf("ended %v after the last request", time.Since(released).Round(time.Millisecond))
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if err := <-closed; err == nil {
		t.Error("the WebSocket got a message, want its end")
	}
}

// TestShutdownLimits does not wait for ever for a request that never ends,
// and not at all when interrupted twice.
func TestShutdownLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		twice  bool
		signal syscall.Signal // that ends the process; 0 is an exit
		within time.Duration
	}{
		{"once", false, 0, 8 * time.Second}, // the 5 s of the drain, and some for a slow machine
		{"twice", true, syscall.SIGINT, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it waits for most of its time
			url, begun, _ := slow(t)
			s := start(t, newHome(t), head+fmt.Sprintf("routes.\"app.localhost\" = %q\n", url))
			client := s.client(t)
			go func() {
				if resp, err := client.Get(s.url("app.localhost", "/slow")); err == nil {
					resp.Body.Close()
				}
			}()
			<-begun
			began := time.Now()
			s.cmd.Process.Signal(os.Interrupt)
			s.waitLog(t, "shutting down", nil)
			if tt.twice {
				s.cmd.Process.Signal(os.Interrupt)
			}
			select {
			case <-s.exited:
			case <-time.After(patience):
				t.Fatal("devproxy does not end")
			}
			took := time.Since(began)
			t.Logf("ended after %v", took.Round(time.Millisecond))
			status := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
			if ended := status.Signaled(); ended != (tt.signal != 0) || ended && status.Signal() != tt.signal || !ended && status.ExitStatus() != 0 {
				t.Errorf("ended with %v, want signal %v", s.cmd.ProcessState, tt.signal)
			}
			if took > tt.within {
				t.Errorf("ended after %v, want within %v", took, tt.within)
			}
		})
	}
}
