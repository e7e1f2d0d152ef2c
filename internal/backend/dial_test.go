package backend

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds what must happen soon; a test that waits that long fails.
const patience = 10 * time.Second

func listen(t testing.TB, host string) net.Listener { return listenAt(t, host, "0") }

// listenAt opens a listener on a loopback address and a port that its twin in
// the other family has or had.
func listenAt(t testing.TB, host, port string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Skipf("port %s is not free on %s: %v", port, host, err)
	}
	t.Cleanup(func() { ln.Close() })
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

func plainHTTP(address string) Target { return Target{Scheme: "http", Address: address} }

func TestLocalhostOnEitherFamily(t *testing.T) {
	for _, host := range []string{loopback4, loopback6} {
		t.Run(host, func(t *testing.T) {
			ln := listen(t, host)
			for _, name := range []string{"localhost", "LOCALHOST"} {
				c, fellBack, err := newDialer().dial(t.Context(), plainHTTP(name+":"+portOf(ln)))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if got := c.RemoteAddr().String(); got != ln.Addr().String() || fellBack != (host == loopback6) {
					t.Errorf("got a connection to %s, fell back %t; want %s", got, fellBack, ln.Addr())
				}
			}
		})
	}
}

func TestDialErrors(t *testing.T) {
	port := closedPort(t)
	d := newDialer()

	_, _, err := d.dial(t.Context(), plainHTTP("localhost:"+port))
	dial, ok := errors.AsType[*DialError](err)
	if !ok || len(*dial) != 2 {
		t.Fatalf("got %v, want a DialError with two attempts", err)
	}
	for _, address := range []string{"127.0.0.1:" + port, "[::1]:" + port} {
		if !strings.Contains(err.Error(), address) {
			t.Errorf("got %q, want it to name %s", err, address)
		}
	}
	for name, target := range map[string]Target{
		"both families": plainHTTP("localhost:" + port),
		"one address":   plainHTTP("127.0.0.1:" + port),
		"no socket":     {Scheme: "unix", Address: filepath.Join(t.TempDir(), "app.sock")},
	} {
		_, _, err := d.dial(t.Context(), target)
		if dial, ok := errors.AsType[*DialError](err); !ok || !dial.Refused() || dial.Timeout() || dial.Exhausted() {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	_, _, err = d.dial(t.Context(), plainHTTP("no port"))
	if dial, ok := errors.AsType[*DialError](err); !ok || dial.Refused() {
		t.Errorf("no port: got %v, want a DialError that is no refusal", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := d.dial(ctx, plainHTTP("localhost:"+port)); err == nil {
		t.Error("cancelled context: got no error")
	}
}

func TestProbe(t *testing.T) {
	ln := listen(t, loopback4)
	if err := Probe(t.Context(), plainHTTP("localhost:"+portOf(ln)), nil); err != nil {
		t.Errorf("listening: got %v", err)
	}
	if err := Probe(t.Context(), plainHTTP("localhost:"+closedPort(t)), nil); !nobodyThere(err) {
		t.Errorf("not listening: got %v, want a refusal", err)
	}
}
