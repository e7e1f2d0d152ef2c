package elevate

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// A Client asks a Server to run commands. Its methods may be called
// concurrently.
type Client struct {
	conn        net.Conn
	out         lineWriter
	turn        chan struct{} // holds a value while a request waits for its answer
	answers     chan reply
	interrupted chan struct{} // closed when the Server said so
	gone        chan struct{} // closed when the Server is
}

// NewClient returns a Client for the Server at the other end of conn. It keeps
// a goroutine until Close, or the Server's end.
func NewClient(conn net.Conn) *Client {
	c := &Client{
		conn:        conn,
		out:         lineWriter{conn: conn},
		turn:        make(chan struct{}, 1),
		answers:     make(chan reply, 1),
		interrupted: make(chan struct{}),
		gone:        make(chan struct{}),
	}
	go c.read()
	return c
}

func (c *Client) read() {
	defer close(c.gone)
	defer c.conn.Close()
	told := false
	for in := lines(c.conn); in.Scan(); {
		var r reply
		if json.Unmarshal(in.Bytes(), &r) != nil {
			return
		}
		if r.Interrupt {
			if !told {
				told = true
				close(c.interrupted)
			}
			continue
		}
		select {
		case c.answers <- r:
		default:
			return // no Server answers twice
		}
	}
}

// Interrupted returns a channel that is closed when this process is to stop
// because of a signal that it has not seen itself.
func (c *Client) Interrupted() <-chan struct{} { return c.interrupted }

// Close ends the connection and waits for the goroutine.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.gone
	return err
}

// available returns nil while there is a Server.
func (c *Client) available() error {
	select {
	case <-c.gone:
		return fmt.Errorf("%w: the process of root's that this one was started by has ended", ErrUnavailable)
	default:
		return nil
	}
}

// run has commands run by the Server; its errors are those of Runner.Run.
func (c *Client) run(ctx context.Context, commands []Command) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", commands[0], ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", commands[0], err)
	}
	if err := c.out.write(request{Commands: encode(commands)}); err != nil {
		c.conn.Close() // half a line may be out
		return fmt.Errorf("%w: ask root's process: %v", ErrUnavailable, err)
	}
	select {
	case r := <-c.answers:
		return r.err(ctx)
	case <-c.gone:
		return c.last(ctx, commands)
	case <-ctx.Done():
	}
	c.out.write(request{Cancel: true})
	select {
	case r := <-c.answers:
		return r.err(ctx)
	case <-c.gone:
		return c.last(ctx, commands)
	case <-time.After(3 * grace): // longer than the Server's Run takes to end
		// The answer to this must not be taken for that to another.
		c.conn.Close()
		return fmt.Errorf("%s: %w", commands[0], ctx.Err())
	}
}

// last returns the outcome of a request that the Server's end has met.
func (c *Client) last(ctx context.Context, commands []Command) error {
	select {
	case r := <-c.answers:
		return r.err(ctx)
	default:
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", commands[0], ctx.Err())
	}
	return fmt.Errorf("%s: root's process has ended before it said how that went", commands[0])
}
