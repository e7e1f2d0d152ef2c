package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
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
	srv := httptest.NewUnstartedServer(says(text))
	srv.Listener.Close()
	srv.Listener = countingListener{ln, accepted}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, accepted
}

type countingListener struct {
	net.Listener
	accepted *atomic.Int64
}

func (ln countingListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err == nil {
		ln.accepted.Add(1)
	}
	return conn, err
}

// expire makes the next request look for the backend on 127.0.0.1 again.
func (d *dialer) expire(backend string) {
	d.fallbacks.mu.Lock()
	defer d.fallbacks.mu.Unlock()
	if b := d.fallbacks.byBackend[backend]; b != nil {
		b.checked = b.checked.Add(-recheckTime)
	}
}

// Somebody else listens on ::1. He gets requests while the app does not
// listen, and none when it does again: also on connections that are kept.
func TestLocalhostReturns(t *testing.T) {
	ln4 := listen(t, loopback4)
	port := portOf(ln4)
	backend := "localhost:" + port
	f := start(t, Route{"app.localhost", "/", at(backend)})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		expect := func(when, want string) {
			t.Helper()
			if _, got := get(t, client, f.url("app.localhost", "/")); got != want {
				t.Errorf("%s: got %q, want %q", when, got, want)
			}
		}
		on6, _ := serveOn(t, listenAt(t, loopback6, port), "on 6")
		on4, _ := serveOn(t, ln4, "on 4")
		expect("both listen", "on 4")
		on4.Close()
		expect("the app restarts", "on 6")
		f.dialer.expire(backend)
		expect("the app restarts slowly", "on 6")

		ln4 = listenAt(t, loopback4, port)
		on4, _ = serveOn(t, ln4, "on 4")
		f.dialer.expire(backend)
		for range 3 {
			expect("the app is back", "on 4")
		}
		on4.CloseClientConnections()
		expect("the app is back, with new connections", "on 4")

		on4.Close()
		expect("the app restarts once more", "on 6")
		on6.Close()
		res, body := get(t, client, f.url("app.localhost", "/"))
		if res.StatusCode != 502 || !strings.Contains(body, "127.0.0.1:"+port) || !strings.Contains(body, "[::1]:"+port) {
			t.Errorf("nobody listens: got %d %q, want 502 and both attempts", res.StatusCode, body)
		}
		ln4 = listenAt(t, loopback4, port)
	})
	ln4.Close()
}

// A backend on ::1 only keeps its connections, however often 127.0.0.1 is
// asked meanwhile.
func TestLocalhostStaysOn6(t *testing.T) {
	ln := listen(t, loopback6)
	_, accepted := serveOn(t, ln, "on 6")
	backend := "localhost:" + portOf(ln)
	f := start(t, Route{"app.localhost", "/", at(backend)})
	client := f.client(t, "h2")
	for range 20 {
		if _, got := get(t, client, f.url("app.localhost", "/")); got != "on 6" {
			t.Fatalf("got %q", got)
		}
		f.dialer.expire(backend)
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
		conn, _ := net.Pipe()
		return conn, nil
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
				_, err := d.DialContext(t.Context(), "tcp", "localhost:1")
				errs := 0
				if err != nil {
					errs = len(*err.(*dialError))
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
func TestRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backend = "localhost:1"
		refuses := fails(syscall.ECONNREFUSED)
		attempts := map[string]func(context.Context) error{v4: refuses, v6: accepts}
		d, asked := stub(attempts)
		step := func(name, want string, looks int) {
			t.Helper()
			*asked = nil
			for range 3 {
				if got := d.poolHost(t.Context(), backend); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if got := len(*asked); got != looks {
				t.Errorf("%s: asked %q, want %d attempts", name, *asked, looks)
			}
		}
		dial := func(pool string) {
			t.Helper()
			if conn, err := d.DialContext(t.Context(), "tcp", pool); err != nil {
				t.Error(err)
			} else {
				conn.Close()
			}
		}
		step("never dialled", backend, 0)
		dial(backend)
		step("on ::1, just now", backend, 0)
		time.Sleep(recheckTime)
		step("on ::1 for a second", backend, 1)

		attempts[v4] = accepts
		step("the app is back, but for less than a second", backend, 0)
		time.Sleep(recheckTime)
		step("the app is back", "localhost#1:1", 1)
		time.Sleep(recheckTime)
		step("all is well", "localhost#1:1", 0)

		attempts[v4] = refuses
		dial(backend) // for a request of long ago
		time.Sleep(recheckTime)
		step("the old pool has got another connection", "localhost#1:1", 0)
		dial("localhost#1:1")
		time.Sleep(recheckTime)

		attempts[v4] = silence // it listens, but is busy
		looking := make(chan string)
		go func() { looking <- d.poolHost(t.Context(), backend) }()
		synctest.Wait()
		began := time.Now()
		if got := d.poolHost(t.Context(), backend); got != "localhost#1:1" || time.Since(began) != 0 {
			t.Errorf("meanwhile: got %q after %v", got, time.Since(began))
		}
		if got := <-looking; got != "localhost#2:1" || time.Since(began) != recheckWait {
			t.Errorf("a busy app: got %q after %v", got, time.Since(began))
		}
	})
}

func TestBackendHost(t *testing.T) {
	for _, backend := range []string{"localhost:5173", "LOCALHOST:1", "127.0.0.1:1", "[::1]:1", "db.test:80"} {
		var f fallbacks
		f.add(backend)
		pool := backend
		for i := range 3 {
			if got := backendHost(pool); got != backend {
				t.Errorf("pool %q: got %q, want %q", pool, got, backend)
			}
			if !isLocalhost(strings.Split(backend, ":")[0]) {
				break // never reached otherwise
			}
			if pool = f.leave(backend, pool); !strings.Contains(pool, fmt.Sprint(poolMark, i+1)) {
				t.Errorf("got pool %q after %d", pool, i)
			}
		}
	}
}
