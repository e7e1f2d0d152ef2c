package proxy

import (
	"errors"
	"io"
	"sync"
)

var errAbandoned = errors.New("the backend no longer wants the body")

// abandonBuffer is how many bytes are read of a body at once. An HTTP/2 frame
// has 16 KiB.
const abandonBuffer = 16 << 10

// An abandonable is a request's body of which a Read that is under way can be ended,
// which an HTTP/2 backend's stream waits for before it reports that it broke.
// Over HTTP/1.1 nothing else ends it without harm to the client's connection:
// what is read then is lost, and linger reads on.
type abandonable struct {
	body    io.Reader
	buf     []byte
	done    chan readResult
	abandon func()
	over    chan struct{} // closed by abandon
}

type readResult struct {
	n   int
	err error
}

func newAbandonable(body io.Reader) *abandonable {
	over := make(chan struct{})
	return &abandonable{
		body:    body,
		buf:     make([]byte, abandonBuffer),
		done:    make(chan readResult, 1),
		abandon: sync.OnceFunc(func() { close(over) }),
		over:    over,
	}
}

func (b *abandonable) Read(p []byte) (int, error) {
	select {
	case <-b.over:
		return 0, errAbandoned // buf may be in use
	default:
	}
	buf := b.buf[:min(len(p), len(b.buf))]
	go b.read(buf)
	select {
	case r := <-b.done:
		return copy(p, buf[:r.n]), r.err
	case <-b.over:
		return 0, errAbandoned
	}
}

// read ends with the client's connection at the latest.
func (b *abandonable) read(buf []byte) {
	n, err := b.body.Read(buf)
	b.done <- readResult{n, err}
}
