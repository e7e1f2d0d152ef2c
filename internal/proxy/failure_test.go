package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"devproxy/internal/backend"
)

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

func TestExplain(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	slow := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	noFamily := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
	noFile := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.ENOENT)}
	exhausted := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, test := range []struct {
		err    error
		status int
		reason string
	}{
		{&backend.DialError{refused}, 503, "nobody listens there"},
		{&backend.DialError{refused, noFamily}, 503, "nobody listens there"},
		{&backend.DialError{slow, refused}, 503, "nobody listens there"},
		{&backend.DialError{noFile}, 503, "nobody listens there"},
		{&backend.DialError{exhausted}, 503, "devproxy has no file descriptor left for it"},
		{&backend.DialError{slow}, 504, "it did not accept a connection in time"},
		{&backend.DialError{slow, noFamily}, 504, "it did not accept a connection in time"},
		{&backend.DialError{context.DeadlineExceeded}, 504, "it did not accept a connection in time"},
		{&backend.DialError{noFamily}, 502, "it could not be reached"},
		{&backend.DialError{&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}}, 502, "it could not be reached"},
		{reset, 502, "it closed the connection without a response"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, 502, "it broke off the TLS handshake"},
		{&tls.CertificateVerificationError{Err: errors.New("expired")}, 502, "its certificate was not accepted"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, 502, "it does not speak TLS"},
		{io.EOF, 502, "it closed the connection without a response"},
		{os.ErrDeadlineExceeded, 504, "it stopped answering"},
		{errors.New("malformed HTTP response \"Set-Cookie: secret\""), 502, "it sent no valid HTTP response"},
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
