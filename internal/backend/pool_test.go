package backend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"devproxy/internal/socket"
)

// holdLong is longer than any test takes.
const holdLong = time.Minute

// A client is a way to speak HTTP/1.1 to targets.
type client string

const (
	directly   client = "direct"
	viaNetHTTP client = "net/http"
)

// pool returns the pool of a target whose requests go out by that client.
func (c client) pool(target Target) *Pool { return c.send(new(Pools).Get(target, nil)) }

// send has the requests of p go out by that client, and returns p.
func (c client) send(p *Pool) *Pool {
	if p.direct && c == viaNetHTTP {
		p.direct = false
		p.generation.Store(p.newGeneration())
	}
	return p
}

// overBoth runs a test over either client, as far as they are there.
func overBoth(t *testing.T, test func(t *testing.T, over client)) {
	for _, over := range []client{directly, viaNetHTTP} {
		if over == viaNetHTTP || socket.CanLook {
			t.Run(string(over), func(t *testing.T) { test(t, over) })
		}
	}
}

// call returns a Call for "/", with a body of unknown length if there is one.
func call(t testing.TB, method string, body io.Reader) *Call {
	t.Helper()
	c := &Call{Context: t.Context(), Method: method, Path: "/", Host: "app.localhost"}
	if body != nil {
		c.Body, c.Length = io.NopCloser(body), -1
	}
	return c
}

// An outcome is what came of a round trip.
type outcome struct {
	status int
	body   string
	err    error
}

func send(p *Pool, c *Call, hold time.Duration) outcome {
	c.Hold = hold
	res, err := p.Do(c)
	if err != nil {
		return outcome{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return outcome{res.StatusCode, string(body), err}
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// counted makes p count its attempts to connect.
func counted(p *Pool) *atomic.Int64 {
	dials, connect := new(atomic.Int64), p.dialer.connect
	p.dialer.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return connect(ctx, network, address)
	}
	return dials
}

func TestPoolsKeep(t *testing.T) { overBoth(t, testPoolsKeep) }

func testPoolsKeep(t *testing.T, over client) {
	var pools Pools
	target := func(text string) Target {
		ln := listen(t, loopback4)
		serveOn(t, ln, text)
		return plainHTTP(ln.Addr().String())
	}
	one, two := target("one"), target("two")
	p1, p2 := over.send(pools.Get(one, nil)), over.send(pools.Get(two, nil))
	if pools.Get(one, nil) != p1 || p1 == p2 {
		t.Fatal("want one pool for each target")
	}
	dials1, dials2 := counted(p1), counted(p2)
	running, err := p1.Do(call(t, "GET", nil))
	if err != nil {
		t.Fatal(err)
	}
	get(t, p2)
	pools.Keep(func(target Target) bool { return target == two })
	if body, err := io.ReadAll(running.Body); string(body) != "one" || err != nil {
		t.Errorf("running request: got %q, %v", body, err)
	}
	running.Body.Close()
	get(t, p1)
	get(t, p2)
	if dials1.Load() != 2 || dials2.Load() != 1 {
		t.Errorf("got %d and %d dials, want a second one only where the pool was given up", dials1.Load(), dials2.Load())
	}
	if pools.Get(one, nil) == p1 || pools.Get(two, nil) != p2 {
		t.Error("want a new pool for the target that was given up, and the old one for the other")
	}
}

// absent returns a target of a scheme at which nobody listens, and a function
// that makes a server listen there.
func absent(t testing.TB, scheme string) (target Target, appear func(http.Handler)) {
	t.Helper()
	network, address := "tcp", "127.0.0.1:"+closedPort(t)
	target = Target{Scheme: scheme, Address: address}
	if scheme == "unix" {
		network, address = "unix", filepath.Join(t.TempDir(), "app.sock")
		target.Address = address
	}
	if scheme == "https" {
		target.Insecure = true
	}
	return target, func(handler http.Handler) {
		t.Helper()
		srv := httptest.NewUnstartedServer(handler)
		srv.Listener.Close()
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		srv.Listener = ln
		srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that were only probes
		switch scheme {
		case "https":
			srv.EnableHTTP2 = true
			srv.StartTLS()
		case "h2c":
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			fallthrough
		default:
			srv.Start()
		}
		t.Cleanup(srv.Close)
	}
}

// A request waits for a backend that appears, and arrives once and whole.
func TestHold(t *testing.T) { overBoth(t, testHold) }

func testHold(t *testing.T, over client) {
	for _, scheme := range []string{"http", "h2c", "https", "unix"} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(scheme+" "+method, func(t *testing.T) {
				target, appear := absent(t, scheme)
				p := over.pool(target)
				dials := counted(p)
				var body io.Reader
				want := "GET "
				if method == "POST" {
					body, want = strings.NewReader(strings.Repeat("x", 1<<20)), "POST "+strings.Repeat("x", 1<<20)
				}
				c := call(t, method, body)
				if body != nil {
					c.Body = &untouched{ReadCloser: c.Body}
				}
				got := make(chan outcome, 1)
				go func() { got <- send(p, c, holdLong) }()
				eventually(t, "several failed attempts", func() bool { return dials.Load() > 3 })
				var served atomic.Int64
				appear(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					served.Add(1)
					all, _ := io.ReadAll(r.Body)
					io.WriteString(w, r.Method+" "+string(all))
				}))
				if o := receive(t, "the response", got); o.body != want || o.err != nil {
					t.Errorf("got %d bytes, %v; want %d", len(o.body), o.err, len(want))
				}
				if served.Load() != 1 {
					t.Errorf("the backend got %d requests", served.Load())
				}
				p.CloseIdle()
			})
		}
	}
}

// An untouched body can be closed before it is first read, as Do wants it.
type untouched struct {
	io.ReadCloser
	read bool
}

func (b *untouched) Read(p []byte) (int, error) {
	b.read = true
	return b.ReadCloser.Read(p)
}

func (b *untouched) Close() error {
	if !b.read {
		return nil
	}
	b.ReadCloser = io.NopCloser(strings.NewReader(""))
	return nil
}

// All that ends a hold without a backend leaves the refusal as the error, and
// no goroutine.
func TestHoldEnds(t *testing.T) {
	for name, end := range map[string]func(pools *Pools, c *Call, leave func()){
		"the client leaves": func(_ *Pools, _ *Call, leave func()) { leave() },
		"cancelled":         func(_ *Pools, c *Call, _ func()) { c.Cancel(nil) },
		"stopped":           func(pools *Pools, _ *Call, _ func()) { pools.StopWaiting() },
		"stopped after the target was given up": func(pools *Pools, _ *Call, _ func()) {
			pools.Keep(func(Target) bool { return false })
			pools.StopWaiting()
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			target, _ := absent(t, "http")
			pools := new(Pools)
			p := pools.Get(target, nil)
			dials := counted(p)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			got := make(chan outcome, 1)
			c := call(t, "GET", nil)
			c.Context = ctx
			go func() { got <- send(p, c, holdLong) }()
			eventually(t, "an attempt", func() bool { return dials.Load() > 0 })
			end(pools, c, leave)
			if o := receive(t, "the end", got); !nobodyThere(o.err) && !errors.Is(o.err, context.Canceled) {
				t.Errorf("got %v, want a refusal", o.err)
			}
			eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
	t.Run("time is over", func(t *testing.T) {
		target, _ := absent(t, "unix")
		p := new(Pools).Get(target, nil)
		began := time.Now()
		o := send(p, call(t, "GET", nil), 120*time.Millisecond)
		if took := time.Since(began); !nobodyThere(o.err) || took < 120*time.Millisecond {
			t.Errorf("got %v after %v, want a refusal after the hold", o.err, took)
		}
	})
	t.Run("stopped before", func(t *testing.T) {
		target, _ := absent(t, "http")
		pools := new(Pools)
		pools.StopWaiting()
		if o := send(pools.Get(target, nil), call(t, "GET", nil), holdLong); !nobodyThere(o.err) {
			t.Errorf("got %v, want a refusal", o.err)
		}
	})
	t.Run("not refused", func(t *testing.T) {
		p := new(Pools).Get(plainHTTP("127.0.0.1:1"), nil)
		failure := &net.OpError{Op: "dial", Err: errors.New("no such luck")}
		p.dialer, _ = stub(map[string]func(context.Context) error{"127.0.0.1:1": fails(failure)})
		if o := send(p, call(t, "GET", nil), holdLong); !errors.Is(o.err, failure) {
			t.Errorf("got %v at the end of a hold, want %v at once", o.err, failure)
		}
	})
}

// However many wait, one looks; and all are served.
func TestManyAreHeld(t *testing.T) { overBoth(t, testManyAreHeld) }

func testManyAreHeld(t *testing.T, over client) {
	const many = 200
	target, appear := absent(t, "http")
	p := over.pool(target)
	dials := counted(p)
	var failed atomic.Int64
	var held sync.WaitGroup
	for range many {
		held.Go(func() {
			if o := send(p, call(t, "GET", nil), holdLong); o.status != 200 {
				failed.Add(1)
			}
		})
	}
	eventually(t, "all to wait", func() bool {
		p.arrival.mu.Lock()
		defer p.arrival.mu.Unlock()
		return p.arrival.look != nil && p.arrival.look.waiting == many
	})
	waiting := dials.Load()
	eventually(t, "some looks", func() bool { return dials.Load() >= waiting+4 })
	if got := dials.Load() - waiting; got > 20 {
		t.Errorf("got %d dials in four looks", got)
	}
	appear(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	held.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d failed", failed.Load(), many)
	}
	if p.arrival.look != nil {
		t.Error("somebody still looks")
	}
}

// Those who leave do not end the waiting of others.
func TestWaitIsShared(t *testing.T) {
	target, appear := absent(t, "unix")
	p := new(Pools).Get(target, nil)
	impatient, cancel := context.WithCancel(t.Context())
	left, came := make(chan error, 1), make(chan error, 1)
	go func() { left <- p.Wait(impatient) }()
	go func() { came <- p.Wait(t.Context()) }()
	eventually(t, "both to wait", func() bool {
		p.arrival.mu.Lock()
		defer p.arrival.mu.Unlock()
		return p.arrival.look != nil && p.arrival.look.waiting == 2
	})
	cancel()
	if err := receive(t, "the impatient one", left); !errors.Is(err, context.Canceled) {
		t.Errorf("impatient: got %v", err)
	}
	appear(http.NotFoundHandler())
	if err := receive(t, "the other", came); err != nil {
		t.Errorf("patient: got %v", err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Errorf("backend is there: got %v", err)
	}
}

func TestUpgradeHalfClose(t *testing.T) { overBoth(t, testUpgradeHalfClose) }

func testUpgradeHalfClose(t *testing.T, over client) {
	for _, scheme := range []string{"http", "unix", "https"} {
		t.Run(scheme, func(t *testing.T) {
			target, appear := absent(t, scheme)
			appear(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, in, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				all, err := io.ReadAll(in)
				fmt.Fprintf(conn, "got %s, %v", all, err)
			}))
			c := call(t, "GET", nil)
			c.Upgrade = "websocket"
			res, err := over.pool(target).Do(c)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			conn, ok := res.Body.(interface {
				io.Writer
				CloseWrite() error
			})
			if !ok || res.StatusCode != 101 || res.ProtoMajor != 1 {
				t.Fatalf("got %s %d with %T", res.Proto, res.StatusCode, res.Body)
			}
			io.WriteString(conn, "all of it")
			if err := conn.CloseWrite(); err != nil {
				t.Error(err)
			}
			if got, err := bufio.NewReader(res.Body).ReadString('>'); got != "got all of it, <nil>" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
