package backend

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// serveOn answers on ln with text, and counts the connections.
func serveOn(t testing.TB, ln net.Listener, text string) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	accepted := new(atomic.Int64)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, accepted
}

// get sends a request through a pool.
func get(t testing.TB, p *Pool) (string, error) {
	t.Helper()
	res, err := p.Do(call(t, http.MethodGet, nil))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// expire makes the next request look for the backend on 127.0.0.1 again.
func (l *loopback) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checked = l.checked.Add(-recheckTime)
}

// Somebody else listens on ::1. He gets requests while the app does not
// listen, and none when it does again: also on connections that are kept.
func TestLocalhostReturns(t *testing.T) { overBoth(t, testLocalhostReturns) }

func testLocalhostReturns(t *testing.T, over client) {
	ln4 := listen(t, loopback4)
	port := portOf(ln4)
	p := over.pool(plainHTTP("localhost:" + port))
	defer p.CloseIdle()
	expect := func(when, want string) {
		t.Helper()
		if got, err := get(t, p); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", when, got, err, want)
		}
	}
	on6, _ := serveOn(t, listenAt(t, loopback6, port), "on 6")
	on4, _ := serveOn(t, ln4, "on 4")
	expect("both listen", "on 4")
	on4.Close()
	expect("the app restarts", "on 6")
	p.loopback.expire()
	expect("the app restarts slowly", "on 6")

	on4, _ = serveOn(t, listenAt(t, loopback4, port), "on 4")
	p.loopback.expire()
	for range 3 {
		expect("the app is back", "on 4")
	}
	on4.CloseClientConnections()
	expect("the app is back, with new connections", "on 4")

	on4.Close()
	expect("the app restarts once more", "on 6")
	on6.Close()
	if _, err := get(t, p); !nobodyThere(err) || len(*err.(*DialError)) != 2 {
		t.Errorf("nobody listens: got %v, want both refusals", err)
	}
}

// A backend on ::1 only keeps its connections, however often 127.0.0.1 is
// asked meanwhile.
func TestLocalhostStaysOn6(t *testing.T) { overBoth(t, testLocalhostStaysOn6) }

func testLocalhostStaysOn6(t *testing.T, over client) {
	ln := listen(t, loopback6)
	_, accepted := serveOn(t, ln, "on 6")
	p := over.pool(plainHTTP("localhost:" + portOf(ln)))
	defer p.CloseIdle()
	for range 20 {
		if got, err := get(t, p); got != "on 6" {
			t.Fatalf("got %q, %v", got, err)
		}
		p.loopback.expire()
	}
	if got := accepted.Load(); got > 2 {
		t.Errorf("20 requests in a row took %d connections, want about 1", got)
	}
}

// stub is a dialer whose attempts do what the test says, by address.
func stub(attempts map[string]func(context.Context) error) (d *dialer, asked *[]string) {
	asked = new([]string)
	return &dialer{connect: func(ctx context.Context, _, address string) (net.Conn, error) {
		*asked = append(*asked, address)
		if err := attempts[address](ctx); err != nil {
			return nil, err
		}
		c, _ := net.Pipe()
		return c, nil
	}}, asked
}

const v4, v6 = "127.0.0.1:1", "[::1]:1"

func accepts(context.Context) error { return nil }

// silence is the backlog of a busy app: the attempt times out.
func silence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	<-ctx.Done()
	return os.ErrDeadlineExceeded
}

func fails(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// ::1 is asked only if nobody listens on 127.0.0.1, and never beside it.
func TestLocalhostOrder(t *testing.T) {
	for _, test := range []struct {
		name   string
		v4, v6 func(context.Context) error
		asked  []string
		errors int // 0: connected
		took   time.Duration
	}{
		{"4 accepts", accepts, accepts, []string{v4}, 0, 0},
		{"4 is silent", silence, accepts, []string{v4}, 1, dialTimeout},
		{"4 fails", fails(syscall.EMFILE), accepts, []string{v4}, 1, 0},
		{"4 refuses", fails(syscall.ECONNREFUSED), accepts, []string{v4, v6}, 0, 0},
		{"4 is no family", fails(syscall.EAFNOSUPPORT), accepts, []string{v4, v6}, 0, 0},
		{"no port is left", fails(syscall.EADDRNOTAVAIL), accepts, []string{v4}, 1, 0},
		{"6 is no family", fails(syscall.ECONNREFUSED), fails(syscall.EAFNOSUPPORT), []string{v4, v6}, 2, 0},
		{"6 is silent", fails(syscall.ECONNREFUSED), silence, []string{v4, v6}, 2, dialTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, asked := stub(map[string]func(context.Context) error{v4: test.v4, v6: test.v6})
				began := time.Now()
				_, _, err := d.dial(t.Context(), plainHTTP("localhost:1"))
				errs := 0
				if err != nil {
					errs = len(*err.(*DialError))
				}
				if errs != test.errors || !slices.Equal(*asked, test.asked) || time.Since(began) != test.took {
					t.Errorf("asked %q for %v: %v; want %q for %v and %d errors",
						*asked, time.Since(began), err, test.asked, test.took, test.errors)
				}
			})
		})
	}
}

// One request in a second looks for the app on 127.0.0.1, and the others do
// not wait for it.
func TestRecheck(t *testing.T) { overBoth(t, testRecheck) }

func testRecheck(t *testing.T, over client) {
	synctest.Test(t, func(t *testing.T) {
		refuses := fails(syscall.ECONNREFUSED)
		attempts := map[string]func(context.Context) error{v4: refuses, v6: accepts}
		p := over.pool(plainHTTP("localhost:1"))
		d, asked := stub(attempts)
		p.dialer = d
		first := p.generation.Load()
		step := func(name string, want *generation, looks int) (got *generation) {
			t.Helper()
			*asked = nil
			for range 3 {
				if got = p.current(t.Context()); want != nil && got != want {
					t.Errorf("%s: got another generation", name)
				}
			}
			if got := len(*asked); got != looks {
				t.Errorf("%s: asked %q, want %d attempts", name, *asked, looks)
			}
			return got
		}
		dial := func(g *generation) {
			t.Helper()
			var c net.Conn
			var err error
			if over == directly {
				c, err = p.connect(t.Context(), g)
			} else {
				c, err = g.transport.DialContext(t.Context(), "tcp", "localhost:1")
			}
			if err != nil {
				t.Error(err)
			} else {
				c.Close()
			}
		}
		step("never dialled", first, 0)
		dial(first)
		step("on ::1, just now", first, 0)
		time.Sleep(recheckTime)
		step("on ::1 for a second", first, 1)

		attempts[v4] = accepts
		step("the app is back, but for less than a second", first, 0)
		time.Sleep(recheckTime)
		second := step("the app is back", nil, 1)
		if second == first {
			t.Error("the app is back, but the connections to ::1 stay in use")
		}
		time.Sleep(recheckTime)
		step("all is well", second, 0)

		attempts[v4] = refuses
		dial(first) // for a request of long ago
		time.Sleep(recheckTime)
		step("the old generation has got another connection", second, 0)
		dial(second)
		time.Sleep(recheckTime)

		attempts[v4] = silence // it listens, but is busy
		looking := make(chan *generation)
		go func() { looking <- p.current(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		if got := p.current(t.Context()); got != second || time.Since(began) != 0 {
			t.Errorf("meanwhile: got another generation: %t, after %v", got != second, time.Since(began))
		}
		if got := <-looking; got == second || time.Since(began) != recheckWait {
			t.Errorf("a busy app: got another generation: %t, after %v", got != second, time.Since(began))
		}
	})
}
