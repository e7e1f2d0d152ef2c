package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A backend that breaks a call off at its deadline may be heard before the
// client has noticed. That is the end of the call, and no fault of the backend.
func TestGRPCDeadline(t *testing.T) {
	_, backend := h2cApp(t, func(_ http.ResponseWriter, r *http.Request) {
		if limit, ok := parseGRPCTimeout(r.Header.Get("Grpc-Timeout")); ok && limit < time.Minute {
			time.Sleep(limit) // a deadline, not a wait for something
		}
		panic(http.ErrAbortHandler)
	})
	f := start(t, Route{Host: "app.localhost", Path: "/", Backend: backend})
	client := f.client(t, "h2")
	for _, test := range []struct {
		kind, timeout string
		status        int
		grpc          string
	}{
		{"application/grpc", "20m", 200, "4"},
		{"application/grpc+proto", "20000u", 200, "4"},
		{"application/grpc", "20H", 502, ""},
		{"application/grpc", "", 502, ""},
		{"application/grpc", "20x", 502, ""},
		{"application/json", "20m", 502, ""},
	} {
		res := do(t, client, newRequest(t, "POST", f.url("app.localhost", "/"), strings.NewReader("call"),
			"Content-Type", test.kind, "Grpc-Timeout", test.timeout))
		readAll(t, res.Body)
		if got := res.Header.Get("Grpc-Status"); res.StatusCode != test.status || got != test.grpc {
			t.Errorf("%s, %q: got %d and status %q, want %d and %q", test.kind, test.timeout, res.StatusCode, got, test.status, test.grpc)
		}
	}
}

func TestParseGRPCTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1H": time.Hour, "90M": 90 * time.Minute, "0S": 0, "5m": 5 * time.Millisecond, "7u": 7 * time.Microsecond,
		"99999999n": 99999999 * time.Nanosecond, "": -1, "5": -1, "m": -1, "5s": -1, "-5m": -1, "123456789S": -1, "5 m": -1, "99999999H": -1,
	} {
		got, ok := parseGRPCTimeout(s)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %v, %t; want %v", s, got, ok, want)
		}
	}
}
