package proxy

import (
	"net/http"
	"testing"
)

// The end of a tenure reaches what runs, whatever came and went before.
func TestTenureEndsWhatRuns(t *testing.T) {
	const n = 5
	for _, left := range [][]int{{}, {0}, {4}, {2}, {0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4}, {1, 2, 3}} {
		tenure := newTenure()
		var running [n]*exchange
		for i := range running {
			running[i] = &exchange{ResponseWriter: &tape{header: make(http.Header)}}
			running[i].call.Context = t.Context()
			tenure.enter(running[i])
		}
		gone := make(map[int]bool)
		for _, i := range left {
			tenure.leave(running[i])
			gone[i] = true
		}
		tenure.end(errRouteGone)
		for i := range running {
			if ended := running[i].call.Cause() == errRouteGone; ended == gone[i] {
				t.Errorf("after %v had left: the end of %d: %t", left, i, ended)
			}
		}
	}
	late := &exchange{ResponseWriter: &tape{header: make(http.Header)}}
	late.call.Context = t.Context()
	tenure := newTenure()
	tenure.end(errClientGone)
	tenure.enter(late)
	if got := late.call.Cause(); got != errClientGone {
		t.Errorf("one that came after the end: got %v", got)
	}
	tenure.leave(late)
}
