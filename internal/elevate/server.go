package elevate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// idleLimit is how long a Server waits for a request. What a Client does
// between two of them takes seconds; one that has been stopped for longer must
// not keep the way to root open.
const idleLimit = 2 * time.Minute

var errIdle = fmt.Errorf("nothing was asked for within %v", idleLimit)

// A Server runs, as root, what a Client asks for: any command. A list of
// allowed programs would protect nothing, since install, cp and sh with
// arguments of one's own are as good as root; what protects is that nobody but
// the Client's process can reach the Server (see Pair and Program).
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
// said what no Client says, or nothing for two minutes, and in any case leaves
// the connection closed.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	idle := time.AfterFunc(idleLimit, func() { cancel(errIdle) })

	jobs := make(chan job, 1)
	var wg sync.WaitGroup
	wg.Go(func() { s.work(jobs, idle) })
	err := s.read(ctx, jobs)
	if err == nil && context.Cause(ctx) == errIdle {
		err = errIdle
	}
	cancel(nil)
	s.conn.Close()
	close(jobs)
	wg.Wait()
	idle.Stop()
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

func (s *Server) work(jobs <-chan job, idle *time.Timer) {
	for j := range jobs {
		idle.Stop()
		err := s.runner.Run(j.ctx, j.commands)
		idle.Reset(idleLimit)
		j.cancel()
		if s.out.write(answer(err)) != nil {
			s.conn.Close() // nobody listens; reading ends as well
		}
	}
}

// Interrupt tells the Client's process to stop, as a first Ctrl-C does.
func (s *Server) Interrupt() error { return s.out.write(reply{Interrupt: true}) }

// Close ends the connection.
func (s *Server) Close() error { return s.conn.Close() }
