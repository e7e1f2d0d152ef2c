// Package backend connects to the servers behind the routes. A Target says
// where one is and how to speak to it; a Pool keeps the connections to one
// target, whatever routes lead there, and sends requests over them.
//
// HTTP/1.1 without TLS goes by a client of its own, the direct one, on the
// goroutine of its caller (direct.go); all else by net/http's (transport.go).
//
// The package decides what may be tried again: a dial that nobody answered, for
// as long as a request may be held, and once more a request that cannot have
// done harm. It knows nothing of routes, of clients, or of what is shown to
// people when all of that fails.
package backend

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
)

// A Target is a server, and how to speak to it. Targets can be compared: equal
// ones share their connections.
type Target struct {
	// Scheme is "http" (HTTP/1.1), "h2c" (HTTP/2 without TLS), "https" (either,
	// as the server chooses) or "unix" (HTTP/1.1 over a socket file).
	Scheme string

	// Address is "host:port", where a host of "localhost" means both loopback
	// addresses, or for "unix" the path of the socket.
	Address string

	// ServerName is what a certificate must be for, a name or an IP address;
	// for "https" only.
	ServerName string

	// Insecure takes any certificate; for "https" only.
	Insecure bool
}

// ParseTarget returns the target that u names: scheme://host:port, or
// unix:/path. It fails if u has another form.
func ParseTarget(u *url.URL) (Target, error) {
	t := Target{Scheme: u.Scheme, Address: u.Host}
	switch u.Scheme {
	case "unix":
		if t.Address = u.Path; t.Address == "" {
			t.Address = u.Opaque
		}
		if t.Address == "" {
			return Target{}, errors.New("backend has no path to its socket")
		}
		return t, nil
	case "https":
		t.ServerName = u.Hostname()
	case "http", "h2c":
	default:
		return Target{}, fmt.Errorf("backend scheme %q is not supported", u.Scheme)
	}
	if u.Hostname() == "" {
		return Target{}, fmt.Errorf("backend %q has no host", u.Redacted())
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return Target{}, fmt.Errorf("backend %q has no usable port", u.Redacted())
	}
	return t, nil
}

// Pools are the pools of all targets in use. The zero value is ready. Its
// methods may be called from any goroutine.
type Pools struct {
	mu   sync.Mutex
	pool map[Target]*Pool

	// impatience ends all waiting, also in pools that were given up while
	// requests were held there.
	impatience context.Context
	stop       context.CancelFunc
}

// Get returns the pool of a target. roots are the anchors for its certificate,
// asked for with each connection; nil means the system's. They do not belong to
// a target: the first call for it decides.
func (p *Pools) Get(t Target, roots func() *x509.CertPool) *Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pool := p.pool[t]; pool != nil {
		return pool
	}
	p.prepare()
	pool := newPool(t, roots)
	pool.arrival.stopped = p.impatience.Done()
	p.pool[t] = pool
	return pool
}

// prepare makes the zero value usable. p.mu is held.
func (p *Pools) prepare() {
	if p.pool == nil {
		p.pool = make(map[Target]*Pool)
		p.impatience, p.stop = context.WithCancel(context.Background())
	}
}

// Keep gives up all pools but those of the targets for which used says true.
// Their idle connections are closed; requests that are under way finish.
func (p *Pools) Keep(used func(Target) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, pool := range p.pool {
		if !used(t) {
			delete(p.pool, t)
			pool.CloseIdle()
		}
	}
}

// StopWaiting ends all waiting for backends, now and later: requests that are
// held fail.
func (p *Pools) StopWaiting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prepare()
	p.stop()
}

// CloseIdle closes the connections that no request uses.
func (p *Pools) CloseIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pool := range p.pool {
		pool.CloseIdle()
	}
}
