package backend

import (
	"context"
	"sync"
	"time"
)

// watchPause is the time between two turns of a watch: an exchange that is there
// for one to two of them is interrupted by the end of its context.
const watchPause = 20 * time.Millisecond

// A watch has the ends of contexts noticed by exchanges that take long. To
// register with a context costs more than all else that a short one does here,
// and whether its client has left makes no difference to it.
type watch struct {
	mu    sync.Mutex // guards what follows, and the place, old and stop of exchanges
	young []*exchange
	turns bool // one is to come
}

// enter has x watched until it leaves.
func (w *watch) enter(x *exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x.place = len(w.young)
	w.young = append(w.young, x)
	if !w.turns {
		w.turns = true
		time.AfterFunc(watchPause, w.turn)
	}
}

// leave reports whether x has not been interrupted, nor will be.
func (w *watch) leave(x *exchange) (calm bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.stop != nil {
		// Once the interruption has begun it may come at any time.
		return x.stop()
	}
	w.dropLocked(x)
	return true
}

func (w *watch) dropLocked(x *exchange) {
	last := len(w.young) - 1
	w.young[x.place] = w.young[last]
	w.young[x.place].place = x.place
	w.young[last] = nil
	w.young = w.young[:last]
}

// turn has those interrupted from now on that were there the last time.
func (w *watch) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.young) - 1; i >= 0; i-- { // what takes a place has had its turn
		x := w.young[i]
		if x.old {
			w.dropLocked(x)
			x.call.lasts()
			x.stop = context.AfterFunc(x.call.Context, x.link.interrupt)
		}
		x.old = true
	}
	if w.turns = len(w.young) > 0; w.turns {
		time.AfterFunc(watchPause, w.turn)
	} else {
		w.young = nil
	}
}
