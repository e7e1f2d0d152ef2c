package backend

import (
	"context"
	"errors"
	"math"
	"net"
	"syscall"
	"time"
)

var errLongHead = errors.New("the head of the response is too long")

// A link is a connection of the direct client. It has no goroutine and, while
// it is idle, no buffer.
type link struct {
	net.Conn
	looks

	// interrupt ends all reading and writing, now and later.
	interrupt func()

	used  bool      // for an exchange, before this one
	freed time.Time // when the last exchange ended
	left  int64     // how many bytes may be read: heads have a limit
}

// connect returns a new connection to the target. All errors are *DialError.
func (p *Pool) connect(ctx context.Context, g *generation) (*link, error) {
	c, fellBack, err := p.dialer.dial(ctx, p.target)
	if err != nil {
		return nil, err
	}
	if fellBack {
		p.loopback.fellBack(func() bool { return p.isCurrent(g) })
	}
	l := &link{Conn: c}
	l.interrupt = func() { _ = c.SetDeadline(time.Unix(1, 0)) }
	if c, ok := c.(syscall.Conn); ok {
		l.looks.at(c)
	}
	return l, nil
}

func (l *link) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errLongHead
	}
	if int64(len(b)) > l.left {
		b = b[:l.left]
	}
	n, err := l.Conn.Read(b)
	l.left -= int64(n)
	return n, err
}

// limit sets how many bytes the next head may have.
func (l *link) limit() { l.left = maxResponseHead }

// unlimit ends the limit: a head was read.
func (l *link) unlimit() { l.left = math.MaxInt64 }

// CloseWrite tells the backend that nothing more will come, while it may still
// send: upgraded connections can be closed by halves.
func (l *link) CloseWrite() error {
	if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return l.Close()
}
