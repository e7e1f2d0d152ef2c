package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soakBody is what belongs to the request of that number, and to no other.
func soakBody(id string, n int) string { return strings.Repeat(id+";", n) }

// soakScript answers with what the path asks for: /ID/MANNER/SIZE.
func soakScript(p *peer) bool {
	parts := strings.Split(strings.TrimPrefix(p.path, "/"), "/")
	var size int
	fmt.Sscan(parts[2], &size)
	id, text := parts[0], soakBody(parts[0], size)
	length := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n", id, len(text))
	if parts[1] == "early" {
		p.say(length + text)
		p.body()
		return true
	}
	if sent := string(p.body()); sent != "" && sent != text {
		p.say("HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n")
		return false
	}
	switch parts[1] {
	case "length":
		p.say(length, text)
	case "chunked":
		p.say("HTTP/1.1 103 x\r\nX-Id: " + id + "\r\n\r\nHTTP/1.1 200 OK\r\nX-Id: " + id + "\r\nTransfer-Encoding: chunked\r\n\r\n")
		p.say(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text))
	case "junk":
		p.say(length + text + "HTTP/1.1 200 OK\r\nX-Id: junk\r\nContent-Length: 0\r\n\r\n")
	case "close":
		p.say("HTTP/1.1 200 OK\r\nX-Id: " + id + "\r\n\r\n" + text)
		return false
	case "stale":
		p.say(length + text)
		return false
	case "die":
		return false
	case "reset":
		p.say(length + text[:len(text)/2])
		p.reset()
		return false
	case "silent":
		p.say(length)
		_, _ = p.rest()
		return false
	}
	return true
}

// Many calls at once, half of which go wrong: each gets its own answer or none,
// and nothing stays behind.
func TestManyCalls(t *testing.T) {
	const workers, each = 24, 50
	manners := []string{"length", "length", "chunked", "chunked", "early", "junk", "close", "stale", "die", "reset", "silent"}
	s := raise(t, "http")
	a := s.begin(directly, soakScript)
	p := poolOver(t, s.target, directly)
	before, files := runtime.NumGoroutine(), openFiles()
	var calls sync.WaitGroup
	var whole, broken atomic.Int64
	for w := range workers {
		calls.Go(func() {
			chance := rand.New(rand.NewPCG(1, uint64(w)))
			for n := range each {
				manner := manners[chance.IntN(len(manners))]
				switch err := soakCall(t.Context(), p, chance, fmt.Sprintf("%d-%d", w, n), manner); {
				case err == nil:
					whole.Add(1)
				case errors.Is(err, errNotMine):
					t.Errorf("%s: %v", manner, err)
				default:
					broken.Add(1)
				}
			}
		})
	}
	within(t, calls.Wait)
	if whole.Load() < workers*each/4 || broken.Load() < workers*each/10 {
		t.Errorf("%d calls were answered and %d were not, want enough of both", whole.Load(), broken.Load())
	}
	eventually(t, "the connections in use to end", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.open <= min(workers, idlePerBackend)
	})
	p.CloseIdle()
	eventually(t, "the connections to end", a.allClosed)
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	eventually(t, "the descriptors to be closed", func() bool { return openFiles() <= files })
}

var errNotMine = errors.New("an answer to something else")

// soakCall makes one call, and treats it as chance has it.
func soakCall(ctx context.Context, p *Pool, chance *rand.Rand, id, manner string) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	size := chance.IntN(2000)
	text := soakBody(id, size)
	if manner == "silent" || chance.IntN(5) == 0 {
		defer time.AfterFunc(time.Duration(chance.IntN(3000))*time.Microsecond, func() { leave(errLeft) }).Stop()
	}
	c := &Call{Context: ctx, Method: "GET", Path: fmt.Sprintf("/%s/%s/%d", id, manner, size), Host: "app.test"}
	if chance.IntN(2) == 0 {
		c.Method, c.Body, c.Length = "POST", newSource(text), int64(len(text))
		if chance.IntN(2) == 0 {
			c.Length = -1
		}
	}
	res, err := p.Do(c)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if got := res.Header.Get("X-Id"); got != id || res.StatusCode != 200 {
		return fmt.Errorf("%w: %d for %q instead of %q", errNotMine, res.StatusCode, got, id)
	}
	if chance.IntN(5) == 0 {
		part := make([]byte, chance.IntN(len(text)+1))
		n, err := io.ReadFull(res.Body, part)
		if !strings.HasPrefix(text, string(part[:n])) {
			return fmt.Errorf("%w: %q", errNotMine, part[:n])
		}
		return err
	}
	all, err := io.ReadAll(res.Body)
	if !strings.HasPrefix(text, string(all)) || err == nil && string(all) != text {
		return fmt.Errorf("%w: %d bytes instead of %d", errNotMine, len(all), len(text))
	}
	return err
}

// openFiles returns how many descriptors this process has; 0 where that is not known.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// within fails if f does not end soon.
func within(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	receive(t, "the end", done)
}
