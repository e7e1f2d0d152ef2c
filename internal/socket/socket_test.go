package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pairs are both ends of a connection, by the kind of it.
func pairs(t *testing.T, test func(t *testing.T, c *Conn, other net.Conn)) {
	for name, listen := range map[string]func() (net.Listener, error){
		"tcp":  func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		"unix": func() (net.Listener, error) { return net.Listen("unix", filepath.Join(t.TempDir(), "s")) },
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := listen()
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			dialled, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			other, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			c := New(dialled)
			defer c.Close()
			test(t, c, other)
		})
	}
	t.Run("no socket", func(t *testing.T) {
		dialled, other := net.Pipe()
		defer other.Close()
		c := New(dialled)
		defer c.Close()
		if c.raw != nil {
			t.Skip("it has one")
		}
		test(t, c, other)
	})
}

// More than a socket takes at once goes through whole, both ways.
func TestReadWrite(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		go func() {
			io.Copy(other, io.LimitReader(other, int64(len(sent)))) // an echo; a pipe needs it to read, too
		}()
		go c.Write(sent)
		got := make([]byte, len(sent))
		if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("got %d bytes, %v", n, err)
		}
		other.Close()
		if n, err := c.Read(got); n != 0 || err != io.EOF {
			t.Errorf("got %d, %v at the end, want EOF", n, err)
		}
	})
}

func TestAsk(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		for _, size := range []int{1, 1 << 10, 8 << 20} { // the last is more than a socket takes at once
			request := bytes.Repeat([]byte{'q'}, size)
			go func() {
				if _, err := io.ReadFull(other, make([]byte, size)); err == nil {
					io.WriteString(other, "reply")
				}
			}()
			reply := make([]byte, 64)
			written, n, err := c.Ask(request, reply)
			if written != size || err != nil || string(reply[:n]) != "reply" {
				t.Errorf("got %d written, %q, %v", written, reply[:n], err)
			}
		}
	})
}

// What came before the question is not its answer.
func TestAskUnquiet(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		if c.raw == nil {
			t.Skip("it cannot be looked at")
		}
		if !c.IsQuiet() {
			t.Error("not quiet at rest")
		}
		io.WriteString(other, "unasked")
		await(t, func() bool { return !c.IsQuiet() })
		io.WriteString(other, "unasked")
		await(t, func() bool {
			written, n, err := c.Ask([]byte("request"), make([]byte, 64))
			return written == 0 && n == 0 && errors.Is(err, ErrUnquiet)
		})
		other.Close()
		if written, _, err := c.Ask([]byte("request"), make([]byte, 64)); written != 0 || !errors.Is(err, ErrUnquiet) {
			t.Errorf("got %d written, %v of a closed connection", written, err)
		}
		if c.IsQuiet() {
			t.Error("quiet, and closed")
		}
	})
}

// await returns when ok does, which is when the kernel has delivered what was sent.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(time.Millisecond) // lets the others have the processor
	}
}

// The errors are those that package net has.
func TestErrors(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		check := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
			if c.raw == nil {
				return
			}
			if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "read" && op.Op != "write" || op.Addr == nil {
				t.Errorf("%s: got %#v", what, err)
			}
		}
		// A deadline that passes while somebody waits.
		waits := make(chan error, 1)
		go func() {
			_, _, err := c.Ask([]byte("request"), make([]byte, 64))
			waits <- err
		}()
		io.ReadFull(other, make([]byte, len("request")))
		c.SetDeadline(time.Unix(1, 0))
		err := <-waits
		check("waiting", err, os.ErrDeadlineExceeded)
		if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		_, err = c.Read(make([]byte, 1))
		check("reading", err, os.ErrDeadlineExceeded)
		_, err = c.Write([]byte("x"))
		check("writing", err, os.ErrDeadlineExceeded)
		if written, _, err := c.Ask([]byte("x"), make([]byte, 1)); written != 0 {
			t.Errorf("%d bytes written after the deadline, %v", written, err)
		}
		if c.raw == nil {
			return // a pipe has another error
		}
		c.Close()
		_, err = c.Read(make([]byte, 1))
		check("reading", err, net.ErrClosed)
		_, err = c.Write([]byte("x"))
		check("writing", err, net.ErrClosed)
	})
}

func TestCloseWrite(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		go c.CloseWrite()
		if n, err := other.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %d, %v, want EOF", n, err)
		}
	})
}

func TestDoesNotAllocate(t *testing.T) {
	pairs(t, func(t *testing.T, c *Conn, other net.Conn) {
		if c.raw == nil {
			t.Skip("no socket")
		}
		go io.Copy(other, other)
		request, reply := []byte("request"), make([]byte, 64)
		if got := testing.AllocsPerRun(100, func() {
			c.Ask(request, reply)
			c.Write(request)
			io.ReadFull(c, reply[:len(request)])
		}); got >= 1 {
			t.Errorf("got %v allocations", got)
		}
	})
}
