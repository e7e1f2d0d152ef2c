package backend

import (
	"context"
	"errors"
	"math"
	"time"

	"devproxy/internal/socket"
)

var errLongHead = errors.New("the head of the response is too long")

// A link is a connection of the direct client. It has no goroutine and, while
// it is idle, no buffer.
type link struct {
	*socket.Conn

	// request is what the next Read writes first, if the connection is at rest;
	// written is how much of it was. A look for bytes that nobody asked for, the
	// question and the wait for the answer are one step then.
	request []byte
	written int

	// interrupt ends all reading and writing, now and later.
	interrupt func()

	used  bool      // for an exchange, before this one
	freed time.Time // when the last exchange ended
	left  int64     // how many bytes may be read: heads have a limit
}

// connect returns a new connection of g. All errors are *DialError.
func (p *Pool) connect(ctx context.Context, g *generation) (*link, error) {
	c, err := p.dial(ctx, g)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: socket.New(c)}
	l.interrupt = func() { _ = l.SetDeadline(time.Unix(1, 0)) }
	return l, nil
}

func (l *link) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLongHead
	}
	if int64(len(b)) > l.left {
		b = b[:l.left]
	}
	n, err := l.read(b)
	l.left -= int64(n)
	return n, err
}

func (l *link) read(b []byte) (n int, err error) {
	if l.request == nil {
		return l.Conn.Read(b)
	}
	l.written, n, err = l.Ask(l.request, b)
	l.request = nil
	return n, err
}

// limit sets how many bytes the next head may have.
func (l *link) limit() { l.left = maxResponseHead }

// unlimit ends the limit: a head was read.
func (l *link) unlimit() { l.left = math.MaxInt64 }
