//go:build unix

package proxy

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A script is a listener whose Accept returns what it is told to.
type script struct {
	net.Listener
	steps []func() (net.Conn, error)
}

func (s *script) Accept() (net.Conn, error) {
	if len(s.steps) == 0 {
		return nil, net.ErrClosed
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	return step()
}

func (s *script) Close() error { return nil }

// closes is a connection that reports being closed.
type closes struct {
	net.Conn
	closed *[]string
	name   string
}

func (c closes) Close() error { *c.closed = append(*c.closed, c.name); return nil }

func TestOutOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		var closed []string
		var l *refuser
		full := func() (net.Conn, error) {
			return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		}
		conn := func(name string) func() (net.Conn, error) {
			return func() (net.Conn, error) { return closes{nil, &closed, name}, nil }
		}
		// There is no reserve to be had while a connection is open.
		crowded := func(name string) func() (net.Conn, error) {
			return func() (net.Conn, error) {
				l.open = func() (*os.File, error) {
					if !slices.Contains(closed, name) {
						return nil, syscall.EMFILE
					}
					return os.Open(os.DevNull)
				}
				return closes{nil, &closed, name}, nil
			}
		}
		other := errors.New("other")
		l = newRefuser(&script{steps: []func() (net.Conn, error){
			conn("first"),
			full, crowded("second"), full, crowded("third"),
			conn("fourth"),
			func() (net.Conn, error) { return nil, other },
		}}, zap.New(core), &notices{})
		defer l.Close()

		for _, want := range []string{"first", "fourth"} {
			got, err := l.Accept()
			if err != nil || got.(closes).name != want {
				t.Fatalf("Accept: got %v, %v; want the %s connection", got, err, want)
			}
		}
		if want := []string{"second", "third"}; !slices.Equal(closed, want) {
			t.Errorf("closed %q, want %q", closed, want)
		}
		var lines []string
		for _, entry := range logs.All() {
			lines = append(lines, entry.Level.String()+" "+entry.Message)
		}
		if want := []string{"error " + msgNoDescriptors, "info " + msgDescriptors}; !slices.Equal(lines, want) {
			t.Errorf("got the lines %q, want %q", lines, want)
		}
		if fields := logs.All()[0].ContextMap(); fields["hint"] != descriptorHint || fields["limit"] == nil {
			t.Errorf("got %v, want a hint and the limit", fields)
		}
		if _, err := l.Accept(); err != other {
			t.Errorf("Accept: got %v, want the listener's own error", err)
		}
	})
}

// Where there is no reserve, it is tried again and again, at ease.
func TestOutOfDescriptorsWithoutReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		var steps []func() (net.Conn, error)
		for range 10 {
			steps = append(steps, func() (net.Conn, error) { tries++; return nil, syscall.ENFILE })
		}
		l := newRefuser(&script{steps: steps}, zap.NewNop(), &notices{})
		l.release()
		defer l.Close()
		began := time.Now()
		if _, err := l.Accept(); err != net.ErrClosed || tries != 10 {
			t.Errorf("Accept: got %v after %d tries, want the end after 10", err, tries)
		}
		if took := time.Since(began); took != 10*acceptPause {
			t.Errorf("took %v, want a pause after each try", took)
		}
	})
}
