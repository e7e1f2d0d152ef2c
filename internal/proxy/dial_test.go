package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
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

func TestProxyVariablesAreIgnored(t *testing.T) {
	trap := rawBackend(t, func(net.Conn) { t.Error("the backend was reached through a proxy") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, trap.URL.String())
	}
	f := start(t, Route{"app.localhost", "/", backend(t, says("direct"))})
	// net/http never sends requests for loopback to a proxy, so ask directly.
	if newTransport(newDialer()).Proxy != nil {
		t.Error("the transport looks for a proxy")
	}
	if _, body := get(t, f.client(t, "h1"), f.url("app.localhost", "/")); body != "direct" {
		t.Errorf("got %q", body)
	}
}
