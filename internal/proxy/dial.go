package proxy

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// dialTimeout bounds one connection attempt. Loopback answers at once; a
// machine in the local network that is off does not answer at all.
const dialTimeout = 5 * time.Second

const (
	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

// A dialer connects to backends. It reaches "localhost" on both address
// families: servers listen on either, depending on what their runtime makes
// of the name, and change it between versions (Node 17 did).
type dialer struct {
	// connect makes one attempt at one address.
	connect func(ctx context.Context, network, address string) (net.Conn, error)

	fallbacks fallbacks
}

func newDialer() *dialer {
	return &dialer{connect: (&net.Dialer{Timeout: dialTimeout}).DialContext}
}

// DialContext connects to address, "host:port", where host may also be one
// that poolHost has returned. All errors are *dialError.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(backendHost(address))
	if err != nil {
		return nil, &dialError{err}
	}
	if isLocalhost(host) {
		return d.dialLoopback(ctx, network, address, port)
	}
	conn, err := d.connect(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}

func isLocalhost(host string) bool { return strings.EqualFold(host, "localhost") }

// dialLoopback connects to 127.0.0.1, and to ::1 only when nobody listens
// there. The families do not race (RFC 8305), and who won is not remembered:
// any user of the machine may listen on the port in the other family, and
// would get the app's requests, cookies and all, whenever the app is slow to
// accept, and from then on. What does not answer is there, and is waited for.
func (d *dialer) dialLoopback(ctx context.Context, network, address, port string) (net.Conn, error) {
	conn, err4 := d.connect(ctx, network, net.JoinHostPort(loopback4, port))
	if err4 == nil {
		return conn, nil
	}
	if !nobodyListens(err4) {
		return nil, &dialError{err4}
	}
	conn, err6 := d.connect(ctx, network, net.JoinHostPort(loopback6, port))
	if err6 != nil {
		return nil, &dialError{err4, err6}
	}
	d.fallbacks.add(address)
	return conn, nil
}

// A dialError says that no connection was made, and so nothing sent: one
// error for each address tried.
type dialError []error

func (e *dialError) Error() string {
	texts := make([]string, len(*e))
	for i, err := range *e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *dialError) Unwrap() []error { return *e }

// Timeout reports whether time ran out before an address answered. An address
// that refused did answer.
func (e *dialError) Timeout() bool {
	timeout := false
	for _, err := range *e {
		if isRefused(err) {
			return false
		}
		timeout = timeout || isTimeout(err)
	}
	return timeout
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

// Windows has numbers of its own, which are not those of package syscall.
const (
	wsaAddrFamily  = syscall.Errno(10047)
	wsaNetUnreach  = syscall.Errno(10051)
	wsaConnRefused = syscall.Errno(10061)
)

func isRefused(err error) bool { return isErrno(err, syscall.ECONNREFUSED, wsaConnRefused) }

// nobodyListens reports whether err says that nobody listens at an address of
// this machine: the connection was refused, or there is no such family.
// EADDRNOTAVAIL does not: connect also fails with it when no port is left on
// our side, which any user of the machine can bring about.
func nobodyListens(err error) bool {
	return isRefused(err) ||
		isErrno(err, syscall.EAFNOSUPPORT, wsaAddrFamily) ||
		isErrno(err, syscall.ENETUNREACH, wsaNetUnreach)
}

func isErrno(err error, unix, windows syscall.Errno) bool {
	return errors.Is(err, unix) || runtime.GOOS == "windows" && errors.Is(err, windows)
}

// Probe reports whether a backend accepts connections: nil if it does, and
// always nil for a handler. It sends nothing. It gives up when ctx ends, at
// the latest after 5 seconds.
func Probe(ctx context.Context, backend Backend) error {
	if backend.Handler != nil {
		return nil
	}
	conn, err := newDialer().DialContext(ctx, "tcp", backend.URL.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}
