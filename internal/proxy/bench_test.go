package proxy

import (
	"io"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// forwards are the ways of a request of 1 KiB through the proxy, each with the
// most allocations that it may take: time differs between machines, allocations
// do not. Whoever saves some lowers the bound.
var forwards = []struct {
	name, protocol string
	access         bool // with a line in the log
	most           float64
}{
	{"h1", "h1", false, 38},
	{"h1/access", "h1", true, 42},
	{"h2", "h2", false, 66},
	{"h2/access", "h2", true, 70},
}

// startForward starts a proxy whose log is encoded, and goes nowhere.
func startForward(t testing.TB, access bool) *fixture {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(io.Discard), zapcore.InfoLevel))
	f := startConfigured(t, func(cfg *Config) { cfg.Logger = log },
		Route{Host: "app.localhost", Path: "/", Backend: wireBackend(t)})
	f.access.Store(access)
	return f
}

func TestForwardAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	for _, test := range forwards {
		t.Run(test.name, func(t *testing.T) {
			client := startForward(t, test.access).wireTo(t, test.protocol, "app.localhost")
			get := func() {
				if err := client.get(); err != nil {
					t.Fatal(err)
				}
			}
			for range 100 { // until pools and buffers have their size
				get()
			}
			got := testing.AllocsPerRun(500, get)
			if got > test.most {
				t.Errorf("a request takes %v allocations, want %v at most", got, test.most)
			}
			t.Logf("%v allocations", got)
		})
	}
}

// BenchmarkForward measures requests through client, proxy and backend, all in
// this process; compare only with itself.
func BenchmarkForward(b *testing.B) {
	for _, test := range forwards {
		b.Run(test.name, func(b *testing.B) {
			f := startForward(b, test.access)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				client := f.wireTo(b, test.protocol, "app.localhost")
				for pb.Next() {
					if err := client.get(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
