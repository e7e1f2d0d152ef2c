package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// dialTimeout bounds one connection attempt. Loopback answers at once; a
	// machine in the local network that is off does not answer at all.
	dialTimeout = 5 * time.Second

	// familyDelay is how long the first loopback address may take before the
	// other one is tried beside it.
	familyDelay = 50 * time.Millisecond
)

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

	// winners maps an address "localhost:port" to the loopback address that
	// accepted last.
	winners sync.Map
}

func newDialer() *dialer {
	return &dialer{connect: (&net.Dialer{Timeout: dialTimeout}).DialContext}
}

// DialContext connects to address, "host:port". All errors are *dialError.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &dialError{err}
	}
	if strings.EqualFold(host, "localhost") {
		return d.dialLoopback(ctx, network, address, port)
	}
	conn, err := d.connect(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}

// dialLoopback tries the loopback address that accepted last, the other one
// as soon as that fails or takes familyDelay, and returns what connects first.
func (d *dialer) dialLoopback(ctx context.Context, network, address, port string) (net.Conn, error) {
	hosts := []string{loopback4, loopback6}
	if last, _ := d.winners.Load(address); last == loopback6 {
		hosts = []string{loopback6, loopback4}
	}

	type result struct {
		host string
		conn net.Conn
		err  error
	}
	results := make(chan result)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempt that lost, and lets it close what it got

	attempt := func(host string) {
		conn, err := d.connect(ctx, network, net.JoinHostPort(host, port))
		select {
		case results <- result{host, conn, err}:
		case <-ctx.Done():
			if conn != nil {
				conn.Close()
			}
		}
	}
	stagger := time.NewTimer(familyDelay)
	defer stagger.Stop()

	var failed dialError
	started := 1
	go attempt(hosts[0])
	for {
		select {
		case res := <-results:
			if res.err == nil {
				d.winners.Store(address, res.host)
				return res.conn, nil
			}
			failed = append(failed, res.err)
			if len(failed) == len(hosts) {
				return nil, &failed
			}
		case <-stagger.C:
		case <-ctx.Done():
			return nil, &dialError{fmt.Errorf("dial %s: %w", address, context.Cause(ctx))}
		}
		if started < len(hosts) {
			go attempt(hosts[started])
			started++
		}
	}
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

// wsaConnRefused is what Windows calls ECONNREFUSED.
const wsaConnRefused = syscall.Errno(10061)

func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) ||
		runtime.GOOS == "windows" && errors.Is(err, wsaConnRefused)
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
