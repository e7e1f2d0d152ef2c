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
