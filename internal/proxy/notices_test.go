package proxy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoticesPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l notices
		a, b := notice{"rejected", "a.localhost", "unknown CA"}, notice{"rejected", "b.localhost", "unknown CA"}
		for i, step := range []struct {
			wait time.Duration
			n    notice
			want bool
		}{
			{0, a, true},
			{0, a, false},
			{0, b, true},
			{noticePause - 1, a, false},
			{1, a, true},
			{noticePause - 1, a, false},
			{0, b, true},
		} {
			time.Sleep(step.wait)
			if got, _ := l.due(step.n); got != step.want {
				t.Errorf("step %d: due(%v): got %t, want %t", i, step.n, got, step.want)
			}
		}
	})
}

// Whoever chooses the names decides neither how long the log gets nor how much
// memory it takes.
func TestNoticesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l notices
		for minute := range 3 {
			var said, more int
			for i := range 10 * maxNotices {
				due, rest := l.due(notice{kind: "rejected", host: fmt.Sprint(minute, i)})
				if due {
					said++
				}
				if rest {
					more++
				}
			}
			if said != maxNotices+1 || more != 1 {
				t.Errorf("minute %d: got %d lines, %d of them for the rest; want %d and 1", minute, said, more, maxNotices+1)
			}
			if due, more := l.due(notice{kind: "other", host: "x"}); !due || more {
				t.Errorf("another kind: got %t, %t; want that it is said as ever", due, more)
			}
			if n := len(l.said["rejected"]); n > maxNotices+1 {
				t.Errorf("%d notices are remembered", n)
			}
			time.Sleep(noticePause)
		}
	})
}

func TestNoticesConcurrently(t *testing.T) {
	var l notices
	var said atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if due, _ := l.due(notice{kind: "rejected"}); due {
				said.Add(1)
			}
		})
	}
	wg.Wait()
	if said.Load() != 1 {
		t.Errorf("said %d times, want once", said.Load())
	}
}
