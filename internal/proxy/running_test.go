package proxy

import (
	"context"
	"net/http"
	"testing"
)

// The end of a tenure reaches what runs, whatever came and went before.
func TestTenureEndsWhatRuns(t *testing.T) {
	const n = 5
	for _, left := range [][]int{{}, {0}, {4}, {2}, {0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4}, {1, 2, 3}} {
		tenure := newTenure()
		var running [n]*exchange
		var ctx [n]context.Context
		for i := range running {
			running[i] = &exchange{ResponseWriter: &tape{header: make(http.Header)}}
			ctx[i], running[i].cancel = context.WithCancelCause(t.Context())
			tenure.enter(running[i])
		}
		gone := make(map[int]bool)
		for _, i := range left {
			tenure.leave(running[i])
			gone[i] = true
		}
		tenure.end(errRouteGone)
		for i := range running {
			if ended := context.Cause(ctx[i]) == errRouteGone; ended == gone[i] {
				t.Errorf("after %v had left: the end of %d: %t", left, i, ended)
			}
			running[i].cancel(nil)
		}
	}
	late := &exchange{ResponseWriter: &tape{header: make(http.Header)}}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	late.cancel = cancel
	tenure := newTenure()
	tenure.end(errClientGone)
	tenure.enter(late)
	if got := context.Cause(ctx); got != errClientGone {
		t.Errorf("one that came after the end: got %v", got)
	}
	tenure.leave(late)
}
