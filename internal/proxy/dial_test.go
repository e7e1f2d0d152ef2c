package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// listenAt opens a listener on a loopback address and a port that its twin in
// the other family has or had.
func listenAt(t testing.TB, host, port string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Skipf("port %s is not free on %s: %v", port, host, err)
	}
	return ln
}

func portOf(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// closedPort returns a port on which nothing listens on either address.
func closedPort(t testing.TB) string {
	t.Helper()
	ln := listen(t, loopback4)
	defer ln.Close()
	return portOf(ln)
}

func TestLocalhostOnEitherFamily(t *testing.T) {
	for _, host := range []string{loopback4, loopback6} {
		t.Run(host, func(t *testing.T) {
			ln := listen(t, host)
			defer ln.Close()
			for _, name := range []string{"localhost", "LOCALHOST"} {
				conn, err := newDialer().DialContext(t.Context(), "tcp", name+":"+portOf(ln))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if got := conn.RemoteAddr().String(); got != ln.Addr().String() {
					t.Errorf("got a connection to %s, want %s", got, ln.Addr())
				}
			}
		})
	}
}

// A backend that moves from one family to the other is followed, and what
// answered last is tried first.
func TestLocalhostMoves(t *testing.T) {
	ln4 := listen(t, loopback4)
	port := portOf(ln4)
	f := start(t, Route{"app.localhost", "/", at("localhost:" + port)})
	client := f.client(t, "h2")

	serve := func(ln net.Listener, text string) *httptest.Server {
		srv := httptest.NewUnstartedServer(says(text))
		srv.Listener.Close()
		srv.Listener = ln
		srv.Start()
		return srv
	}
	expect := func(want string) {
		t.Helper()
		if _, got := get(t, client, f.url("app.localhost", "/")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	on4 := serve(ln4, "on 4")
	expect("on 4")
	on4.Close()

	ln6 := listenAt(t, loopback6, port)
	on6 := serve(ln6, "on 6")
	expect("on 6")

	// Both listen now: the winner stays.
	on4 = serve(listenAt(t, loopback4, port), "on 4")
	on6.CloseClientConnections()
	expect("on 6")

	on6.Close()
	expect("on 4")
	on4.Close()
	res, body := get(t, client, f.url("app.localhost", "/"))
	if res.StatusCode != 502 || !strings.Contains(body, "127.0.0.1:"+port) || !strings.Contains(body, "[::1]:"+port) {
		t.Errorf("nobody listens: got %d %q, want 502 and both attempts", res.StatusCode, body)
	}
}

func TestDialErrors(t *testing.T) {
	port := closedPort(t)
	d := newDialer()

	_, err := d.DialContext(t.Context(), "tcp", "localhost:"+port)
	dial, ok := errors.AsType[*dialError](err)
	if !ok || len(*dial) != 2 {
		t.Fatalf("got %v, want a dialError with two attempts", err)
	}
	for _, address := range []string{"127.0.0.1:" + port, "[::1]:" + port} {
		if !strings.Contains(err.Error(), address) {
			t.Errorf("got %q, want it to name %s", err, address)
		}
	}
	if !isRefused(err) || dial.Timeout() {
		t.Errorf("refused %t, timeout %t; want a refusal", isRefused(err), dial.Timeout())
	}

	_, err = d.DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
	if _, ok := errors.AsType[*dialError](err); !ok || !isRefused(err) {
		t.Errorf("one address: got %v, want a refusal", err)
	}
	_, err = d.DialContext(t.Context(), "tcp", "no port")
	if _, ok := errors.AsType[*dialError](err); !ok {
		t.Errorf("no port: got %v, want a dialError", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.DialContext(ctx, "tcp", "localhost:"+port); err == nil {
		t.Error("cancelled context: got no error")
	}
}

func TestProbe(t *testing.T) {
	ln := listen(t, loopback4)
	defer ln.Close()
	if err := Probe(t.Context(), at("localhost:"+portOf(ln))); err != nil {
		t.Errorf("listening: got %v", err)
	}
	if err := Probe(t.Context(), at("localhost:"+closedPort(t))); !isRefused(err) {
		t.Errorf("not listening: got %v, want a refusal", err)
	}
	if err := Probe(t.Context(), nowhere); err != nil {
		t.Errorf("handler: got %v", err)
	}
}

func TestExplain(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	slow := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	noFamily := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, test := range []struct {
		err    error
		status int
		reason string
	}{
		{&dialError{refused}, 502, "it refused the connection"},
		{&dialError{refused, noFamily}, 502, "it refused the connection"},
		{&dialError{slow, refused}, 502, "it refused the connection"},
		{&dialError{slow}, 504, "it did not accept a connection in time"},
		{&dialError{slow, noFamily}, 504, "it did not accept a connection in time"},
		{&dialError{context.DeadlineExceeded}, 504, "it did not accept a connection in time"},
		{&dialError{noFamily}, 502, "it could not be reached"},
		{&dialError{&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}}, 502, "it could not be reached"},
		{reset, 502, "it closed the connection without a response"},
		{io.EOF, 502, "it closed the connection without a response"},
		{os.ErrDeadlineExceeded, 504, "it stopped answering"},
		{errors.New("malformed HTTP response \"Set-Cookie: secret\""), 502, "it sent no valid HTTP/1.1 response"},
	} {
		got := explain(test.err)
		if got.status != test.status || got.reason != test.reason {
			t.Errorf("%v: got %d %q, want %d %q", test.err, got.status, got.reason, test.status, test.reason)
		}
		if strings.Contains(got.detail, "secret") {
			t.Errorf("%v: got detail %q, want none of what the backend sent", test.err, got.detail)
		}
	}
}

// stub is a dialer whose attempts do what the test says, by address.
func stub(attempts map[string]func(context.Context) error) *dialer {
	return &dialer{connect: func(ctx context.Context, _, address string) (net.Conn, error) {
		if err := attempts[address](ctx); err != nil {
			return nil, err
		}
		conn, _ := net.Pipe()
		return &stubConn{Conn: conn, address: address}, nil
	}}
}

type stubConn struct {
	net.Conn
	address string
	closed  bool
}

func (c *stubConn) Close() error {
	c.closed = true
	return c.Conn.Close()
}

func TestLocalhostStagger(t *testing.T) {
	const v4, v6 = "127.0.0.1:1", "[::1]:1"
	silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	accept := func(context.Context) error { return nil }
	noFamily := func(context.Context) error { return syscall.EAFNOSUPPORT }
	after := func(d time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for _, test := range []struct {
		name   string
		v4, v6 func(context.Context) error
		want   string
		took   time.Duration
	}{
		{"first accepts", accept, silent, v4, 0},
		{"first is silent", silent, accept, v6, familyDelay},
		{"first has no family", noFamily, accept, v6, 0},
		{"second has no family", accept, noFamily, v4, 0},
		{"first is slow, second silent", after(time.Second), silent, v4, time.Second},
		{"first is slow, second has no family", after(time.Second), noFamily, v4, time.Second},
		{"both are slow", after(time.Second), after(time.Second / 2), v6, time.Second/2 + familyDelay},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := stub(map[string]func(context.Context) error{v4: test.v4, v6: test.v6})
				start := time.Now()
				conn, err := d.DialContext(t.Context(), "tcp", "localhost:1")
				if err != nil {
					t.Fatal(err)
				}
				if got := conn.(*stubConn).address; got != test.want {
					t.Errorf("got %s, want %s", got, test.want)
				}
				if got := time.Since(start); got != test.took {
					t.Errorf("took %v, want %v", got, test.took)
				}
			})
		})
	}
}

// An attempt that succeeds after it has lost closes its connection.
func TestLocalhostLoserIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := net.Pipe()
		late := &stubConn{Conn: conn}
		d := &dialer{connect: func(_ context.Context, _, address string) (net.Conn, error) {
			if address == "127.0.0.1:1" {
				time.Sleep(time.Second)
				return late, nil
			}
			conn, _ := net.Pipe()
			return conn, nil
		}}
		if _, err := d.DialContext(t.Context(), "tcp", "localhost:1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !late.closed {
			t.Error("the connection of the attempt that lost is still open")
		}
	})
}

// What accepted last is asked first the next time.
func TestLocalhostRemembersWinner(t *testing.T) {
	const v4, v6 = "127.0.0.1:1", "[::1]:1"
	var asked []string
	listening := v6
	d := &dialer{connect: func(_ context.Context, _, address string) (net.Conn, error) {
		asked = append(asked, address)
		if address != listening {
			return nil, syscall.ECONNREFUSED
		}
		conn, _ := net.Pipe()
		return conn, nil
	}}
	for _, step := range []struct {
		listening string
		want      []string
	}{
		{v6, []string{v4, v6}},
		{v6, []string{v6}},
		{v4, []string{v6, v4}},
		{v4, []string{v4}},
	} {
		listening, asked = step.listening, nil
		if _, err := d.DialContext(t.Context(), "tcp", "localhost:1"); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(asked, step.want) {
			t.Errorf("%s listens: asked %q, want %q", listening, asked, step.want)
		}
	}
}

func TestProxyVariablesAreIgnored(t *testing.T) {
	trap := rawBackend(t, func(net.Conn) { t.Error("the backend was reached through a proxy") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, trap.URL.String())
	}
	f := start(t, Route{"app.localhost", "/", backend(t, says("direct"))})
	// net/http never sends requests for loopback to a proxy, so ask directly.
	if newTransport().Proxy != nil {
		t.Error("the transport looks for a proxy")
	}
	if _, body := get(t, f.client(t, "h1"), f.url("app.localhost", "/")); body != "direct" {
		t.Errorf("got %q", body)
	}
}
