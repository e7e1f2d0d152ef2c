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

// An abandonable is a request's body whose Close ends a Read that is under way,
// which an HTTP/2 backend's stream waits for before it reports that it broke.
// Over HTTP/1.1 nothing else ends it without harm to the client's connection:
// what is read then is lost, and linger reads on.
type abandonable struct {
	io.ReadCloser
	buf   []byte
	done  chan readResult
	close func()
	over  chan struct{}
}

type readResult struct {
	n   int
	err error
}

func newAbandonable(body io.ReadCloser) *abandonable {
	over := make(chan struct{})
	return &abandonable{
		ReadCloser: body,
		buf:        make([]byte, abandonBuffer),
		done:       make(chan readResult, 1),
		close:      sync.OnceFunc(func() { close(over) }),
		over:       over,
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
	n, err := b.ReadCloser.Read(buf)
	b.done <- readResult{n, err}
}

func (b *abandonable) Close() error {
	b.close()
	return b.ReadCloser.Close()
}
