package proxy

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"
)

// Nothing is left of what hostile clients and backends bring.
func TestHostileRounds(t *testing.T) {
	p, w, a := startAnswered(t)
	requests := slices.Concat(refused, passing, broken)
	round := func(i int) {
		switch c := requests[i%len(requests)]; {
		case i%10 == 0:
			conn := p.connect(t, "app.localhost")
			io.WriteString(conn, c.raw+after)
			io.Copy(io.Discard, conn)
			conn.Close()
		case i%2 == 0:
			p.exchange(t, []byte(c.raw+after))
		default:
			p.checkResponse(t, a, methodFor(i%3 == 0), responses[i/2%len(responses)])
		}
		p.checkLogs(t)
	}
	for i := range 100 { // what is kept on purpose, as connections to the backend, is there then
		round(i)
	}
	goroutinesBefore, filesBefore := goroutines(), openFiles(t)
	for i := range 1000 {
		round(i)
	}
	const slack = 20
	eventually(t, "goroutines and files to end", func() bool {
		return goroutines() <= goroutinesBefore+slack && openFiles(t) <= filesBefore+slack
	})
	if _, faults := w.take(); len(faults) > 0 {
		t.Errorf("faults: %q", faults)
	}
}

// openFiles counts the descriptors of this process, where the system tells.
func openFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
}
