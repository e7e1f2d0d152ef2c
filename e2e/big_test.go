package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A transfer is one body through devproxy, watched at both ends.
type transfer struct {
	upload bool
	length bool // is announced
	source *noise
	sink   *sink
}

// A carrier is a backend at one end of the transfer that was put there last.
type carrier struct{ current atomic.Pointer[transfer] }

func (c *carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := c.current.Load()
	if now.upload {
		if _, err := io.Copy(now.sink, r.Body); err == nil {
			io.WriteString(w, now.sink.sum())
		}
		return
	}
	if now.length {
		w.Header().Set("Content-Length", strconv.FormatInt(now.source.size, 10))
	}
	if _, err := io.Copy(w, struct{ io.Reader }{now.source}); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// run sends the body and returns when it has arrived.
func (x *transfer) run(ctx context.Context, client *http.Client, url string) error {
	method, body := http.MethodGet, io.Reader(nil)
	if x.upload {
		method, body = http.MethodPut, x.source
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if x.upload && x.length {
		req.ContentLength = x.source.size
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	if x.upload {
		sum, err := io.ReadAll(resp.Body)
		if err == nil && string(sum) != x.source.sum() {
			err = fmt.Errorf("the backend's sum is %q", sum)
		}
		return err
	}
	_, err = io.Copy(x.sink, resp.Body)
	return err
}

// check compares the ends after a run.
func (x *transfer) check(t *testing.T) {
	t.Helper()
	if sent, got := x.source.sent.Load(), x.sink.got.Load(); sent != x.source.size || got != sent {
		t.Fatalf("%d bytes sent, %d received, want %d", sent, got, x.source.size)
	}
	if sent, got := x.source.sum(), x.sink.sum(); got != sent {
		t.Fatalf("SHA-256 of the body sent %s, received %s", sent, got)
	}
}

func (x *transfer) String() string {
	if x.upload {
		return "upload"
	}
	return "download"
}

// protocols are what clients speak.
var protocols = []struct {
	name   string
	client func(*testing.T, *server) *http.Client
}{
	{"h1", func(t *testing.T, s *server) *http.Client { return over1(s.client(t)) }},
	{"h2", func(t *testing.T, s *server) *http.Client { c, _ := over2(s.client(t)); return c }},
}

// carried starts devproxy before a carrier and an echo.
func carried(t *testing.T) (*server, *carrier) {
	t.Helper()
	c := &carrier{}
	backend := httptest.NewServer(c)
	t.Cleanup(backend.Close)
	app := httptest.NewServer(soakApp())
	t.Cleanup(app.Close)
	return start(t, newHome(t), routed(app.URL, "app.localhost")+fmt.Sprintf("\"app.localhost/big\" = %q\n", backend.URL)), c
}

// memoryMay is how much devproxy's memory may grow by during transfers, in KiB:
// far less than what passes, and enough for what a garbage collector leaves.
const memoryMay = 64 << 10

// TestFlatMemory sends bodies much larger than what devproxy may keep of them.
// The longer ones of "make soak" do not fit in 32 bits.
func TestFlatMemory(t *testing.T) {
	size := int64(rounds(512<<20, 4<<30+1))
	s, c := carried(t)
	for _, protocol := range protocols {
		for _, x := range []*transfer{
			{upload: true, length: protocol.name == "h1"},
			{upload: false, length: protocol.name == "h2"},
		} {
			t.Run(fmt.Sprint(protocol.name, " ", x), func(t *testing.T) {
				client := protocol.client(t, s)
				answered(t, s, client, 0)
				x.source, x.sink = newNoise(size), newSink()
				c.current.Store(x)
				before := s.memory(t)
				s.forgetPeak(t)
				began := time.Now()
				if err := x.run(t.Context(), client, s.url("app.localhost", "/big")); err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				x.check(t)
				grown := s.vital(t, "VmHWM") - before
				t.Logf("%d MiB at %d MiB/s; memory %d KiB before, %d more at most", size>>20, size*int64(time.Second)/int64(took)>>20, before, grown)
				if grown > memoryMay {
					t.Errorf("memory grew by %d KiB, want %d at most", grown, memoryMay)
				}
			})
		}
	}
}

// A gate holds one end of a transfer up.
type gate struct {
	reached, opened chan struct{}
	open            func()
}

// newGate returns a gate that is open when the test has ended, at the latest.
func newGate(t *testing.T) *gate {
	g := &gate{reached: make(chan struct{}), opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	t.Cleanup(g.open)
	return g
}

func (g *gate) wait() { close(g.reached); <-g.opened }

// TestStalledTransfers stops each end of a transfer half-way. What was sent
// before arrives; a receiver that stops makes the sender stop, with nothing
// piled up in between; others are served meanwhile, also over the same
// connection; and in the end all is there.
func TestStalledTransfers(t *testing.T) {
	const (
		size    = 96 << 20
		at      = 16 << 20
		between = 48 << 20 // may be on its way: six socket buffers, which the kernel lets grow
		unsent  = 64 << 10 // may be in a buffer of net/http's, at the sender
	)
	s, c := carried(t)
	for _, protocol := range protocols {
		for _, x := range []*transfer{{upload: true}, {upload: false}} {
			for _, who := range []string{"sender", "receiver"} {
				t.Run(fmt.Sprintf("%s %s, %s stops", protocol.name, x, who), func(t *testing.T) {
					client := protocol.client(t, s)
					answered(t, s, client, 0)
					x.source, x.sink = newNoise(size), newSink()
					g := newGate(t)
					if who == "sender" {
						x.source.pauseAt(at, g.wait)
					} else {
						x.sink.pauseAt(at, g.wait)
					}
					c.current.Store(x)
					before := s.memory(t)
					s.forgetPeak(t)
					done := make(chan error, 1)
					go func() { done <- x.run(t.Context(), client, s.url("app.localhost", "/big")) }()
					select {
					case <-g.reached:
					case err := <-done:
						t.Fatalf("the transfer ended early: %v", err)
					}
					if who == "sender" {
						eventually(t, func() string { return fmt.Sprintf("%d of %d bytes arrived", x.sink.got.Load(), at) },
							func() bool { return x.sink.got.Load() >= at-unsent })
					} else if sent := settled(t, x.source.sent.Load); sent > at+between {
						t.Errorf("%d bytes were sent while %d were received", sent, x.sink.got.Load())
					}
					for n := range 20 {
						answered(t, s, client, n<<14)
					}
					g.open()
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					x.check(t)
					if grown := s.vital(t, "VmHWM") - before; grown > memoryMay/2 {
						t.Errorf("memory grew by %d KiB, want %d at most", grown, memoryMay/2)
					}
				})
			}
		}
	}
}

// answered sends a body to the echo, which must come back.
func answered(t *testing.T, s *server, client *http.Client, size int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent := randomBytes(size)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("app.localhost", "/echo"), bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("another request: %v", err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("another request: sent %d bytes, got %d others, %v", size, len(got), err)
	}
}

// TestStalledUploads has an app stop in the middle of several uploads, as at a
// breakpoint. Others over the same connection go on.
func TestStalledUploads(t *testing.T) {
	const uploads = 8
	begun := make(chan struct{}, uploads)
	breakpoint := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(breakpoint) })
	stuck := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-breakpoint
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	t.Cleanup(stuck.Close)
	app := httptest.NewServer(soakApp())
	t.Cleanup(app.Close)
	t.Cleanup(goOn)
	s := start(t, newHome(t), routed(app.URL, "app.localhost")+fmt.Sprintf("\"app.localhost/stuck\" = %q\n", stuck.URL))
	client, dials := over2(s.client(t))
	const size = 32 << 20
	answered(t, s, client, 0)
	done := make(chan string, uploads)
	sources := make([]*noise, uploads)
	for n := range uploads {
		sources[n] = newNoise(size)
		go func() {
			resp, err := client.Post(s.url("app.localhost", "/stuck"), "", sources[n])
			if err != nil {
				done <- err.Error()
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			done <- fmt.Sprintf("%s, %v", text, err)
		}()
	}
	for range uploads {
		<-begun
	}
	settled(t, func() (sum int64) {
		for _, source := range sources {
			sum += source.sent.Load()
		}
		return sum
	})
	t.Run("another", func(t *testing.T) { answered(t, s, client, 1<<20) })
	goOn()
	for range uploads {
		if got := <-done; got != fmt.Sprintf("%d, <nil>", size) {
			t.Errorf("an upload of %d bytes: %s", size, got)
		}
	}
	if dials() != 1 {
		t.Errorf("%d connections, want 1", dials())
	}
}
