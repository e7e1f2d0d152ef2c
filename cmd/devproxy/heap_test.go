package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestReserveHeap(t *testing.T) {
	goal := func() int64 {
		runtime.GC()
		sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	live := make([]byte, 8<<20) // or Go's least goal would hide the difference
	defer runtime.KeepAlive(live)
	const slack = 1 << 20 // for what other tests leave behind
	for _, tt := range []struct {
		name, variable string
		want           int64
	}{
		{"by default", "", 2 * heapReserve},
		{"with GOGC", "GOGC", 0},
		{"with GOMEMLIMIT", "GOMEMLIMIT", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := goal()
			release := reserveHeap(func(name string) string {
				if name == tt.variable {
					return "100"
				}
				return ""
			})
			got := goal() - before
			release()
			if got < tt.want-slack || got > tt.want+slack {
				t.Errorf("the goal of the heap rises by %d bytes, want %d", got, tt.want)
			}
		})
	}
}
