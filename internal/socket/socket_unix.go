//go:build unix

package socket

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// CanLook says that a connection can be looked at without waiting.
const CanLook = true

// A reading, writing or asking is one of its kind that is under way. Each has
// the function that the socket is lent to, made once for a connection.
type (
	reading struct {
		b   []byte
		n   int
		err error
		try func(fd uintptr) bool
	}
	writing struct {
		b   []byte
		n   int
		err error
		try func(fd uintptr) bool
	}
	asking struct {
		request, reply []byte
		asked          bool
		written, n     int
		err            error
		try            func(fd uintptr) bool
	}
)

// prepare makes the functions. They report whether there is nothing to wait for.
func (c *Conn) prepare() {
	r, w, a := &c.reading, &c.writing, &c.asking
	r.try = func(fd uintptr) bool {
		if r.n, r.err = read(fd, r.b); r.err != syscall.EAGAIN {
			return true
		}
		c.await()
		return false
	}
	w.try = func(fd uintptr) bool {
		w.n, w.err = write(fd, w.b)
		return w.err != syscall.EAGAIN
	}
	a.try = func(fd uintptr) bool {
		if a.asked {
			if a.n, a.err = read(fd, a.reply); a.err != syscall.EAGAIN {
				return true
			}
			c.await()
			return false
		}
		if _, err := read(fd, a.reply); err != syscall.EAGAIN {
			a.err = ErrUnquiet
			return true
		}
		a.asked = true
		if a.written, a.err = write(fd, a.request); a.written < len(a.request) {
			return true
		}
		c.await()
		return false
	}
}

// Read reads as any net.Conn does.
func (c *Conn) Read(b []byte) (int, error) {
	if c.raw == nil || len(b) == 0 {
		return c.Conn.Read(b)
	}
	if !c.patience.doze() {
		return 0, c.failure("read", os.ErrDeadlineExceeded)
	}
	r := &c.reading
	r.b = b
	err := c.wait(r.try)
	r.b = nil
	return c.outcome(r.n, r.err, err)
}

// wait lends the socket to try until that has nothing more to wait for, or until the
// deadline.
func (c *Conn) wait(try func(fd uintptr) bool) error {
	err := c.raw.Read(try)
	for err != nil && errors.Is(err, os.ErrDeadlineExceeded) && c.early() {
		err = c.raw.Read(try)
	}
	c.awaited()
	return err
}

// outcome is what came of reading n bytes, where either system or wait went wrong.
func (c *Conn) outcome(n int, system, wait error) (int, error) {
	switch {
	case wait != nil:
		return 0, c.failure("read", wait)
	case system != nil:
		return 0, c.failure("read", os.NewSyscallError("read", system))
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes as any net.Conn does.
func (c *Conn) Write(b []byte) (n int, err error) {
	if c.raw == nil {
		return c.Conn.Write(b)
	}
	w := &c.writing
	defer func() { w.b = nil }()
	for n < len(b) {
		w.b = b[n:]
		if err := c.raw.Write(w.try); err != nil {
			return n, c.failure("write", err)
		}
		if w.err != nil {
			return n, c.failure("write", os.NewSyscallError("write", w.err))
		}
		n += w.n
	}
	return n, nil
}

// Ask writes request to a connection at rest, and reads the beginning of what comes
// back: n bytes into reply, which has room for one at least. It says how much was
// written, which is nothing if err is ErrUnquiet. A Read of another goroutine must
// not be under way.
func (c *Conn) Ask(request, reply []byte) (written, n int, err error) {
	if c.raw == nil {
		return c.askInSteps(request, reply)
	}
	a := &c.asking
	a.request, a.reply, a.asked, a.written, a.n, a.err = request, reply, false, 0, 0, nil
	c.arm()
	err = c.wait(a.try)
	a.request, a.reply = nil, nil
	switch {
	case err == nil && !a.asked:
		return 0, 0, a.err
	case err == nil && a.written < len(request):
		if a.err != nil && a.err != syscall.EAGAIN {
			return a.written, 0, c.failure("write", os.NewSyscallError("write", a.err))
		}
		written, n, err = c.askInSteps(request[a.written:], reply)
		return a.written + written, n, err
	}
	n, err = c.outcome(a.n, a.err, err)
	return a.written, n, err
}

// IsQuiet reports whether the other side has neither closed the connection nor sent
// anything. What it has sent is lost: a connection that is not quiet must not be used
// again. It does not wait. A connection that cannot be looked at is taken for quiet.
func (c *Conn) IsQuiet() bool {
	if c.raw == nil {
		return true
	}
	var one [1]byte
	quiet := false
	c.arm()
	err := c.raw.Read(func(fd uintptr) bool {
		_, err := read(fd, one[:])
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}
