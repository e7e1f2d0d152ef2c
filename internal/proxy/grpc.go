package proxy

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// grpcDeadlineExceeded is the status of a call whose time is over.
const grpcDeadlineExceeded = "4"

// timeOfCall returns the time that the client of a gRPC call gives it; false if
// r is none, or has no limit.
func timeOfCall(r *http.Request) (time.Duration, bool) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return 0, false
	}
	return parseGRPCTimeout(r.Header.Get("Grpc-Timeout"))
}

// parseGRPCTimeout parses a Grpc-Timeout header: up to eight digits and a unit.
func parseGRPCTimeout(s string) (time.Duration, bool) {
	const digits = 8
	if len(s) < 2 || len(s) > digits+1 {
		return 0, false
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	unit, known := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !known || err != nil || time.Duration(n) > math.MaxInt64/unit {
		return 0, false // or thousands of years
	}
	return time.Duration(n) * unit, true
}

// deadlineExceeded answers a gRPC call that the backend broke off because its
// time was over, as the backend does when it answers at all. Client and backend
// notice the end at the same moment; if the backend is first, a 502 would be
// UNAVAILABLE to the client, and tried again.
func (x *exchange) deadlineExceeded() {
	h := x.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", grpcDeadlineExceeded)
	h.Set("Grpc-Message", "the backend ended the call at its deadline")
	x.WriteHeader(http.StatusOK)
}
