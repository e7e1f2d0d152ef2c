// Package socket reads and writes sockets at less cost than package net: a
// system call that cannot block is made without telling the scheduler, and a
// question and the wait for its answer are one step.
//
// On systems other than Linux it only looks (see IsQuiet), and on those that are
// no Unix not even that.
package socket

import (
	"errors"
	"net"
	"syscall"
)

// ErrUnquiet says that a connection at rest was closed by the other side, or has
// brought something that nobody asked for.
var ErrUnquiet = errors.New("the connection was not at rest")

// A Conn is a connection whose socket is used directly, if it has one. Unlike
// with other connections, only one goroutine may read at a time, and one write.
// Deadlines and Close work as ever, from any goroutine, but that a Read which need
// not wait may succeed after its deadline.
type Conn struct {
	net.Conn
	raw syscall.RawConn // nil: it has no socket, or none to be used so

	reading  reading
	writing  writing
	asking   asking
	patience patience
}

// New returns a Conn over c, which must not be used otherwise any more.
func New(c net.Conn) *Conn {
	s := &Conn{Conn: c}
	if own, ok := c.(syscall.Conn); ok && CanLook {
		if raw, err := own.SyscallConn(); err == nil {
			s.raw = raw
			s.prepare()
		}
	}
	return s
}

// CloseWrite tells the other side that nothing more will come, while it may still
// send. Where that is not possible it closes the connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// askInSteps is Ask for connections whose socket cannot be used.
func (c *Conn) askInSteps(request, reply []byte) (written, n int, err error) {
	if written, err = c.Write(request); err != nil {
		return written, 0, err
	}
	n, err = c.Read(reply)
	return written, n, err
}

// failure is the error of an operation as package net reports it.
func (c *Conn) failure(op string, err error) error {
	if below, ok := errors.AsType[*net.OpError](err); ok {
		err = below.Err // whose operation has the name of a raw one
	}
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
