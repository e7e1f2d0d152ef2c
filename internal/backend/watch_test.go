package backend

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever came and went, the end of a context interrupts the exchanges that
// have taken long, no others, and none that is over.
func TestWatch(t *testing.T) {
	for _, left := range [][]int{{}, {0}, {4}, {2}, {0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4}, {1, 2, 3}} {
		synctest.Test(t, func(t *testing.T) { testWatch(t, left) })
	}
}

func testWatch(t *testing.T, left []int) {
	const n = 5
	var w watch
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := make(chan int, 2*n)
	var running [2 * n]*exchange
	turn := func() {
		time.Sleep(watchPause)
		synctest.Wait()
	}
	for i := range running {
		if i == n {
			turn()
		}
		running[i] = &exchange{call: &Call{Context: ctx}, link: &link{interrupt: func() { interrupted <- i }}}
		w.enter(running[i])
	}
	gone := make(map[int]bool)
	leave := func(i int) {
		if gone[i] = true; !w.leave(running[i]) {
			t.Errorf("after %v: %d was interrupted before anything ended", left, i)
		}
	}
	for _, i := range left {
		leave(i)
	}
	turn()
	if !gone[1] {
		leave(1) // which is not among the young any more
	}
	cancel()
	synctest.Wait()
	close(interrupted)
	for i := range interrupted {
		if i >= n || gone[i] {
			t.Errorf("after %v: %d was interrupted", left, i)
		}
		if gone[i] = true; w.leave(running[i]) {
			t.Errorf("after %v: %d does not know that it was interrupted", left, i)
		}
	}
	if len(gone) != n {
		t.Errorf("after %v: only %v are over", left, gone)
	}
	for i := range n {
		leave(n + i)
	}
	turn()
	if w.turns || len(w.young) > 0 {
		t.Errorf("after %v: %d are left, another turn: %t", left, len(w.young), w.turns)
	}
}
