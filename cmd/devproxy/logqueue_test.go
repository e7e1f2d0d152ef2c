package main

import (
	"io"
	"log"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// stalled is a writer that takes nothing until it is closed.
type stalled struct {
	open chan struct{}
	got  strings.Builder
}

func (s *stalled) Write(p []byte) (int, error) {
	<-s.open
	return s.got.Write(p)
}

func TestLogQueueNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stalled{open: make(chan struct{})}
		q := newLogQueue(w)
		const more = 100
		for range queuedLines + more {
			io.WriteString(q, "line\n")
			synctest.Wait() // the first line leaves the queue
		}
		close(w.open)
		q.close()
		// One line had left the queue before it was full.
		if !strings.Contains(w.got.String(), "devproxy: warning: 99 log lines dropped") {
			t.Errorf("got %q at the end, want the number of dropped lines", w.got.String()[max(0, w.got.Len()-200):])
		}
		if got := strings.Count(w.got.String(), "line\n"); got != queuedLines+1 {
			t.Errorf("%d lines were written, want %d", got, queuedLines+1)
		}
		io.WriteString(q, "after the end\n") // no panic
	})
}

func TestLogQueueDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stalled{open: make(chan struct{})}
		q := newLogQueue(w)
		io.WriteString(q, "line\n")
		began := time.Now()
		q.close()
		if took := time.Since(began); took != flushTime {
			t.Errorf("close took %v, want %v", took, flushTime)
		}
		close(w.open) // lets the writing goroutine end
	})
}

func TestLegible(t *testing.T) {
	in := "bücher\t\x1b[31m\u009b31m\r\x07\u202e\u200b\n"
	if got, want := legible(in), "bücher\t\ufffd[31m\ufffd31m\ufffd\ufffd\ufffd\ufffd\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStandardLogHasNoBodies repeats what net/http writes about a backend that
// speaks out of turn.
func TestStandardLogHasNoBodies(t *testing.T) {
	core, seen := observer.New(zapcore.DebugLevel)
	defer takeStandardLog(zap.New(core))()
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "Set-Cookie: session=SECRET", io.EOF)
	entries := seen.All()
	if len(entries) != 1 {
		t.Fatalf("%d log lines, want 1", len(entries))
	}
	detail := entries[0].ContextMap()["detail"]
	if detail != "Unsolicited response received on idle HTTP channel" {
		t.Errorf("detail %q has more than the beginning of the line", detail)
	}
}
