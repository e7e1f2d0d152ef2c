package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// announcedTrailers returns the trailers to promise to the backend; their
// values come with the end of the body.
func announcedTrailers(in http.Header) http.Header {
	trailer := make(http.Header, len(in))
	for name := range in {
		if !forgeable(name) && !endsHere(name) {
			trailer[name] = nil
		}
	}
	return trailer
}

// A requestBody is a request's body on its way to the backend. At the end it
// brings the trailers along, and it notes when the body was the client's fault.
type requestBody struct {
	in       *http.Request
	body     io.Reader     // of in; an *abandonable if Close has to end a Read
	over     chan struct{} // closed when the exchange is
	trailer  http.Header   // of the outgoing request
	begun    atomic.Bool   // somebody has wanted to read it
	ended    atomic.Bool   // it was read to its end
	broken   atomic.Bool   // reading failed before that
	answered atomic.Bool   // the head of the response is there
	closed   atomic.Bool   // nobody may read it any more
}

// Close does nothing to a body that nobody has begun to read: an attempt to
// connect that failed closes it, and another may follow.
//
// Otherwise it ends a Read that is under way, if the client speaks HTTP/2 (see
// abandonable for the others). An HTTP/2 backend's stream waits for that before
// it reports that it broke: a client that waits for the backend's next message
// would wait for ever.
func (b *requestBody) Close() error {
	if !b.begun.Load() || b.closed.Swap(true) {
		return nil
	}
	if body, ok := b.body.(*abandonable); ok {
		body.abandon()
	}
	if b.in.ProtoMajor == 2 {
		return b.in.Body.Close()
	}
	return nil
}

// end has later Reads fail: what is left of the body is the client's and ours.
func (b *requestBody) end() {
	b.closed.Store(true)
	close(b.over)
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	if b.closed.Load() {
		return 0, errAbandoned
	}
	n, err := b.body.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.ended.Store(true)
		for name := range b.trailer {
			b.trailer[name] = b.in.Trailer[name]
		}
	default:
		if !b.closed.Load() {
			b.broken.Store(true)
			b.holdFailure()
		}
	}
	return n, err
}

// holdFailure returns when the exchange is over or the client has left, or after
// lingerTime, if the response has begun. A client that sees itself refused may end
// its request's body there and then, as curl does over HTTP/2. The body is broken,
// but the rest of the response is what it waits for, and would be lost with the
// connection that net/http closes when told of the failure.
func (b *requestBody) holdFailure() {
	if !b.answered.Load() {
		return
	}
	limit := time.NewTimer(lingerTime)
	defer limit.Stop()
	select {
	case <-b.over:
	case <-b.in.Context().Done():
	case <-limit.C:
	}
}
