package elevate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Started through sudo, devproxy works as the person who called it, and what
// is left of root is a Server that runs the privileged commands. It and the
// person's Client talk in lines of JSON over one connection. The Client asks
// for one list at a time.

// A request is a line from the Client: commands to run, or cancel, for those
// asked for last.
type request struct {
	// Commands are bytes since arguments need not be UTF-8, as JSON text must.
	Commands [][][]byte `json:"commands,omitempty"`
	Cancel   bool       `json:"cancel,omitempty"`
}

// A reply is a line from the Server: the outcome of the commands or, unasked,
// that a signal has come which the Client's process has not seen.
type reply struct {
	Interrupt bool   `json:"interrupt,omitempty"`
	Error     string `json:"error,omitempty"`
	Kind      kind   `json:"kind,omitempty"`
}

// A kind is what a caller of Run may match in an error.
type kind string

const (
	unavailable kind = "unavailable"
	canceled    kind = "canceled"
)

const (
	// maxLine bounds a line, in bytes. Linux takes no more arguments than two
	// MiB, and ours are a few paths.
	maxLine = 1 << 20

	// maxError bounds the text of an error, in bytes, so that it fits a line
	// however it is escaped.
	maxError = maxLine / 16

	writeLimit = 5 * time.Second
)

// lines reads lines that fit maxLine.
func lines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	return s
}

// A lineWriter writes whole lines.
type lineWriter struct {
	mu   sync.Mutex // guards writing to conn
	conn net.Conn
}

func (w *lineWriter) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(line) >= maxLine {
		return fmt.Errorf("the commands are too long: %d bytes, at most %d fit", len(line), maxLine-1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err = w.conn.Write(append(line, '\n'))
	return err
}

// A Server runs, as root, what a Client asks for.
type Server struct {
	conn   net.Conn
	runner *Runner
	out    lineWriter
}

// NewServer returns a Server for one Client, at the other end of conn. It runs
// commands with runner.
func NewServer(conn net.Conn, runner *Runner) *Server {
	return &Server{conn: conn, runner: runner, out: lineWriter{conn: conn}}
}

// A job is a list of commands to run. Its context is made when it is read, so
// that a cancel that follows finds it.
type job struct {
	ctx      context.Context
	cancel   context.CancelFunc
	commands []Command
}

// Serve answers until the Client is gone, ctx is done or Close is called, each
// of which also ends the command that runs. It returns an error if the Client
// said what no Client says, and in any case leaves the connection closed.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()

	jobs := make(chan job, 1)
	var wg sync.WaitGroup
	wg.Go(func() { s.work(jobs) })
	err := s.read(ctx, jobs)
	cancel()
	s.conn.Close()
	close(jobs)
	wg.Wait()
	return err
}

func (s *Server) read(ctx context.Context, jobs chan<- job) error {
	var last job
	in := lines(s.conn)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return fmt.Errorf("read a request: %v", err)
		}
		switch {
		case r.Cancel:
			if last.cancel != nil {
				last.cancel()
			}
			continue
		case len(r.Commands) == 0:
			return errors.New("read a request: it asks for nothing")
		}
		last = job{commands: decode(r.Commands)}
		last.ctx, last.cancel = context.WithCancel(ctx)
		select {
		case jobs <- last:
		default:
			last.cancel()
			return errors.New("read a request: others wait for their answers")
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("read a request: it is longer than %d bytes", maxLine)
	}
	return nil // gone, with or without a farewell
}

func (s *Server) work(jobs <-chan job) {
	for j := range jobs {
		err := s.runner.Run(j.ctx, j.commands)
		j.cancel()
		if s.out.write(answer(err)) != nil {
			s.conn.Close() // nobody listens; reading ends as well
		}
	}
}

func answer(err error) reply {
	if err == nil {
		return reply{}
	}
	text := err.Error()
	r := reply{Error: text[:min(len(text), maxError)]}
	switch {
	case errors.Is(err, ErrUnavailable):
		r.Kind = unavailable
	case errors.Is(err, context.Canceled):
		r.Kind = canceled
	}
	return r
}

// Interrupt tells the Client's process to stop, as a first Ctrl-C does.
func (s *Server) Interrupt() error { return s.out.write(reply{Interrupt: true}) }

// Close ends the connection.
func (s *Server) Close() error { return s.conn.Close() }

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

func (r reply) err(ctx context.Context) error {
	if r.Error == "" {
		return nil
	}
	err := &relayedError{text: r.Error}
	switch r.Kind {
	case unavailable:
		err.is = ErrUnavailable
	case canceled:
		if err.is = ctx.Err(); err.is == nil {
			err.is = context.Canceled // root's process was told to end
		}
	}
	return err
}

// A relayedError is an error of the Server's Run.
type relayedError struct {
	text string
	is   error // what it matches; may be nil
}

func (e *relayedError) Error() string { return e.text }
func (e *relayedError) Unwrap() error { return e.is }

func encode(commands []Command) [][][]byte {
	lists := make([][][]byte, len(commands))
	for i, c := range commands {
		for _, word := range c {
			lists[i] = append(lists[i], []byte(word))
		}
	}
	return lists
}

func decode(lists [][][]byte) []Command {
	commands := make([]Command, len(lists))
	for i, words := range lists {
		for _, word := range words {
			commands[i] = append(commands[i], string(word))
		}
	}
	return commands
}
