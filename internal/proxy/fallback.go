package proxy

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// recheckTime is how often a backend that was reached on ::1 only is looked
	// for on 127.0.0.1 again.
	recheckTime = time.Second

	// recheckWait is how long one request waits for the outcome. A loopback
	// address refuses at once.
	recheckWait = 200 * time.Millisecond
)

// fallbacks are the backends that were reached on ::1, because nobody listened
// on 127.0.0.1, by the "localhost:port" of their URL.
//
// The connections made so go into net/http's pool, which would keep them in
// use long after the app listens on 127.0.0.1 again; and who listens on ::1
// may be somebody else. So the pool is left behind: it is known by the host
// in a request's URL, and poolHost returns another one from then on. What is
// in the old pool is never used again and closed when its time is over.
type fallbacks struct {
	mu        sync.Mutex
	byBackend map[string]*fallback
}

// A fallback is what is known of one backend. fallbacks.mu guards it.
type fallback struct {
	pool    string    // what poolHost returns
	number  int       // of the pool
	active  bool      // the pool may have connections to ::1
	checked time.Time // when 127.0.0.1 was asked last
}

// poolMark separates the host of a backend from the number of its pool. No
// URL has it in its host.
const poolMark = "#"

// backendHost returns the address that poolHost was given.
func backendHost(pool string) string {
	host, rest, numbered := strings.Cut(pool, poolMark)
	if !numbered {
		return pool
	}
	_, port, _ := strings.Cut(rest, ":")
	return host + ":" + port
}

// add notes that a connection to ::1 goes into pool.
func (f *fallbacks) add(pool string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	backend := backendHost(pool)
	b := f.byBackend[backend]
	if b == nil {
		if f.byBackend == nil {
			f.byBackend = make(map[string]*fallback)
		}
		b = &fallback{pool: pool}
		f.byBackend[backend] = b
	}
	if b.pool == pool { // else no request asks for that pool any more
		b.active, b.checked = true, time.Now()
	}
}

// current returns the pool for a backend, and whether it is time to see if
// 127.0.0.1 accepts again. It says so to one caller only.
func (f *fallbacks) current(backend string) (pool string, check bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.byBackend[backend]
	if b == nil {
		return backend, false
	}
	if b.active && time.Since(b.checked) >= recheckTime {
		b.checked, check = time.Now(), true
	}
	return b.pool, check
}

// leave returns a new pool for a backend in the place of pool.
func (f *fallbacks) leave(backend, pool string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.byBackend[backend]
	if b.pool == pool {
		b.active = false
		b.number++
		host, port, _ := strings.Cut(backend, ":")
		b.pool = host + poolMark + strconv.Itoa(b.number) + ":" + port
	}
	return b.pool
}

// poolHost returns the host that the URL of a request to backend, "host:port",
// shall have: backend itself, or one that stands for it and has connections
// of its own. A request that comes recheckTime after the last look at
// 127.0.0.1 takes another one; others do not wait for it.
func (d *dialer) poolHost(ctx context.Context, backend string) string {
	pool, check := d.fallbacks.current(backend)
	if !check {
		return pool
	}
	_, port, _ := strings.Cut(backend, ":")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheckWait)
	defer cancel()
	conn, err := d.connect(ctx, "tcp", net.JoinHostPort(loopback4, port))
	if err == nil {
		conn.Close()
	} else if nobodyListens(err) {
		return pool
	}
	// It accepts, or is too busy to: it is there.
	return d.fallbacks.leave(backend, pool)
}
