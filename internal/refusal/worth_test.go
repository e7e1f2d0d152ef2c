package refusal

import (
	"net/http"
	"testing"
)

func TestWorth(t *testing.T) {
	tests := []struct {
		status int
		header http.Header
		want   bool
	}{
		{200, nil, false},
		{200, http.Header{"Content-Type": {"text/html"}, "Content-Length": {"19"}}, false},
		{200, http.Header{"X-Powered-By": {"Express"}, "Content-Length": {"190"}}, false},
		{200, http.Header{"X-Powered-By": {"Express"}, "Content-Length": {"19"}}, true},
		{101, nil, false},
		{304, nil, false},
		{404, http.Header{"Content-Type": {"text/html"}}, false},
		{500, http.Header{"Content-Type": {"text/html"}}, false},
		{400, nil, true},
		{403, http.Header{"Content-Type": {"text/plain"}}, true},
		{403, http.Header{"Content-Type": {"image/png"}}, false},
		{403, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"60"}}, true},
		{403, http.Header{"Content-Type": {"application/json"}, "Content-Length": {"1234"}}, false},
		{403, http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"br"}}, false},
		{403, http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"gzip"}}, true},
		{431, nil, true},
	}
	for _, test := range tests {
		if got := Worth(test.status, test.header); got != test.want {
			t.Errorf("Worth(%d, %v) = %t, want %t", test.status, test.header, got, test.want)
		}
	}
}

func TestWorthAllocatesNothing(t *testing.T) {
	for _, status := range []int{200, 403} {
		if got := testing.AllocsPerRun(100, func() { Worth(status, ordinary) }); got != 0 {
			t.Errorf("status %d: %v allocations, want 0", status, got)
		}
	}
}

// ordinary are the headers of an app's page.
var ordinary = http.Header{
	"Content-Type":     {"text/html; charset=utf-8"},
	"Content-Encoding": {"gzip"},
	"Content-Length":   {"5120"},
	"X-Powered-By":     {"Express"},
	"Etag":             {`W/"1400"`},
	"Date":             {"Thu, 01 Jan 1970 00:00:00 GMT"},
}

func BenchmarkWorth(b *testing.B) {
	for name, status := range map[string]int{"ok": 200, "not found": 404, "forbidden": 403} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Worth(status, ordinary)
			}
		})
	}
}

func BenchmarkRecognise(b *testing.B) {
	r := recording(b, "ordinary/django-5.2.18-debug-csrf-token.http", asked)
	b.ReportAllocs()
	for b.Loop() {
		Recognise(r)
	}
}
