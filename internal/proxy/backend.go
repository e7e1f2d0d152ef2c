package proxy

import (
	"net/http"
	"sync"
	"time"
)

const (
	// idlePerBackend is how many connections to one target are kept for the
	// next burst. A page loads hundreds of modules at once, and net/http's
	// default of 2 makes nearly every request dial.
	idlePerBackend = 256

	idleTimeout = 90 * time.Second

	// continueWait is how long a backend may take to answer
	// "Expect: 100-continue" before the body is sent regardless. Old servers
	// ignore the header.
	continueWait = time.Second
)

// newTransport returns the client side of the proxy. It pools connections by
// target, whatever routes lead there, and waits for responses without limit:
// a person may sit in the debugger.
func newTransport(d *dialer) *http.Transport {
	return &http.Transport{
		Proxy:                 nil, // HTTP_PROXY is for the internet, not for backends
		DialContext:           d.DialContext,
		DisableCompression:    true, // or it would ask for gzip and unpack it
		MaxIdleConnsPerHost:   idlePerBackend,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: continueWait,
	}
}

// bufferSize suits TLS: two records of the largest size.
const bufferSize = 32 << 10

// A bufferPool lends the buffers through which response bodies pass.
type bufferPool struct{ pool sync.Pool }

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

// Get returns a buffer of bufferSize bytes.
func (p *bufferPool) Get() []byte { return p.pool.Get().(*[bufferSize]byte)[:] }

// Put takes back a buffer that Get returned.
func (p *bufferPool) Put(b []byte) { p.pool.Put((*[bufferSize]byte)(b)) }
