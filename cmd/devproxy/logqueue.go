package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queuedLines = 4096        // at once; a line is a few hundred bytes
	flushTime   = time.Second // for the last lines, at the end
)

// A logQueue writes lines to a writer that may stall: a terminal after Ctrl-S,
// a pipe that nobody reads. Requests must not wait for it, so lines that do
// not fit are dropped and counted. Write may be called concurrently.
type logQueue struct {
	lines   chan string
	dropped atomic.Int64
	done    chan struct{}

	mu     sync.RWMutex // guards closed: no line is sent to a closed channel
	closed bool
}

func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{lines: make(chan string, queuedLines), done: make(chan struct{})}
	go q.writeTo(w)
	return q
}

func (q *logQueue) writeTo(w io.Writer) {
	defer close(q.done)
	for line := range q.lines {
		// There is nobody left to tell that the log cannot be written.
		io.WriteString(w, legible(line))
		if n := q.dropped.Swap(0); n > 0 {
			fmt.Fprintf(w, "devproxy: warning: %d log lines dropped, as nobody read them\n", n)
		}
	}
}

// Write queues one line. It never blocks and never fails.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return len(line), nil
	}
	select {
	case q.lines <- string(line):
	default:
		q.dropped.Add(1)
	}
	return len(line), nil
}

// close writes what is queued, for flushTime at the most.
func (q *logQueue) close() {
	q.mu.Lock()
	q.closed = true
	close(q.lines)
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(flushTime):
	}
}

// legible is printable for lines of the log, whose end and tabs are ours:
// encoders escape those in what clients send, but not the controls of C1 nor
// what is invisible.
func legible(line string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, line)
}
