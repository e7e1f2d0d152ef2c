package backend

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// probeWait is how long a request waits for the first bytes of a body that it
// may not have.
const probeWait = 200 * time.Millisecond

// dropEmptyBody takes the body from c if that turns out to have nothing in it. Many
// servers do not expect chunks with a GET, and clients of HTTP/2 may leave it open
// whether there is a body when the request comes.
func (c *Call) dropEmptyBody() {
	if !c.chunked() || c.Continue || len(c.Trailer) > 0 {
		return
	}
	switch c.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, "PROPFIND", "SEARCH":
	default:
		return
	}
	b := &begun{ReadCloser: c.Body, end: sync.OnceValue(c.Body.Close), there: make(chan struct{})}
	c.Body = b
	go b.begin()
	limit := time.NewTimer(probeWait)
	defer limit.Stop()
	select {
	case <-b.there:
		if b.n == 0 && b.err == io.EOF {
			_ = b.end()
			c.Body, c.Length = nil, 0
		}
	case <-limit.C:
	case <-c.Ending().Done():
	}
}

// A begun body has been read from before it was asked to. It can be closed
// before it is read, and read afterwards, as Pool.Do wants it.
type begun struct {
	io.ReadCloser
	end   func() error  // closes it
	there chan struct{} // closed when the fields below are set
	first [1]byte
	n     int
	err   error
	read  bool
}

func (b *begun) begin() {
	b.n, b.err = b.ReadCloser.Read(b.first[:])
	close(b.there)
}

func (b *begun) Read(p []byte) (int, error) {
	b.read = true
	<-b.there
	switch {
	case b.n > 0 && len(p) > 0:
		b.n = 0
		p[0] = b.first[0]
		return 1, b.err
	case b.err != nil:
		return 0, b.err
	}
	return b.ReadCloser.Read(p)
}

func (b *begun) Close() error {
	if !b.read {
		return nil
	}
	return b.end()
}

// abandon closes a body that no attempt will read any more.
func (b *begun) abandon() {
	go func() {
		<-b.there
		_ = b.end()
	}()
}
