package backend

import (
	"context"
	"net"
	"strings"
	"time"
)

// dialTimeout bounds one connection attempt. Loopback answers at once; a
// machine in the local network that is off does not answer at all.
const dialTimeout = 5 * time.Second

const (
	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

// A dialer connects to targets. It reaches "localhost" on both address
// families: servers listen on either, depending on what their runtime makes
// of the name, and change it between versions (Node 17 did).
type dialer struct {
	// connect makes one attempt at one address.
	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

func newDialer() *dialer {
	return &dialer{connect: (&net.Dialer{Timeout: dialTimeout}).DialContext}
}

// dial connects to a target, without TLS. fellBack says that it was ::1 that
// answered, because nobody listened on 127.0.0.1. All errors are *DialError.
func (d *dialer) dial(ctx context.Context, t Target) (c net.Conn, fellBack bool, err error) {
	if port, ok := t.localhost(); ok {
		return d.dialLoopback(ctx, port)
	}
	network := "tcp"
	if t.Scheme == "unix" {
		network = "unix"
	}
	if c, err = d.connect(ctx, network, t.Address); err != nil {
		return nil, false, &DialError{err}
	}
	return c, false, nil
}

// localhost returns the port of a target whose host is localhost.
func (t Target) localhost() (port string, ok bool) {
	if t.Scheme == "unix" {
		return "", false
	}
	host, port, err := net.SplitHostPort(t.Address)
	return port, err == nil && strings.EqualFold(host, "localhost")
}

// dialLoopback connects to 127.0.0.1, and to ::1 only when nobody listens
// there. The families do not race (RFC 8305), and who won is not remembered:
// any user of the machine may listen on the port in the other family, and
// would get the app's requests, cookies and all, whenever the app is slow to
// accept, and from then on. What does not answer is there, and is waited for.
func (d *dialer) dialLoopback(ctx context.Context, port string) (c net.Conn, fellBack bool, err error) {
	c, err4 := d.connect(ctx, "tcp", net.JoinHostPort(loopback4, port))
	if err4 == nil {
		return c, false, nil
	}
	if !nobodyListens(err4) {
		return nil, false, &DialError{err4}
	}
	c, err6 := d.connect(ctx, "tcp", net.JoinHostPort(loopback6, port))
	if err6 != nil {
		return nil, false, &DialError{err4, err6}
	}
	return c, true, nil
}

// probe connects and sends nothing.
func (d *dialer) probe(ctx context.Context, t Target) error {
	c, _, err := d.dial(ctx, t)
	if err != nil {
		return err
	}
	return c.Close()
}
