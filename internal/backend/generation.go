package backend

import (
	"context"
	"net"
	"net/http"
)

// A generation is the connections that a pool makes until it leaves them all
// behind. Over the direct client they are in idle, else in transport.
type generation struct {
	idle      *idle
	transport *http.Transport
}

func (p *Pool) newGeneration() *generation {
	g := new(generation)
	if p.direct {
		g.idle = &idle{pool: p}
	} else {
		g.transport = p.newTransport(g)
	}
	return g
}

// isCurrent reports whether requests are still sent over g.
func (p *Pool) isCurrent(g *generation) bool { return p.generation.Load() == g }

// dial connects to the target for g, without TLS. All errors are *DialError.
func (p *Pool) dial(ctx context.Context, g *generation) (net.Conn, error) {
	c, fellBack, err := p.dialer.dial(ctx, p.target)
	if fellBack {
		p.loopback.fellBack(func() bool { return p.isCurrent(g) })
	}
	return c, err
}

// closeIdle closes the connections that no request uses now, and those that are
// in use when their requests have ended, unless another request comes.
func (g *generation) closeIdle() {
	if g.idle != nil {
		g.idle.close(false)
	} else {
		g.transport.CloseIdleConnections()
	}
}

// leave is closeIdle for connections that no request may use again.
func (g *generation) leave() {
	if g.idle != nil {
		g.idle.close(true)
	} else {
		g.transport.CloseIdleConnections()
	}
}
