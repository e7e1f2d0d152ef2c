package proxy

import (
	"net/http"
	"time"
)

// The functions of this file are for responses over HTTP/1.1 that come before
// the end of the request's body. HTTP/2 needs none of it.

// uploading reports whether the client may be sending the request's body
// still, over HTTP/1.1.
func (x *exchange) uploading() bool {
	return x.duplex && (x.body == nil || !x.body.ended.Load())
}

// waitsForContinue reports whether the client was not told to send the body.
// It will not now, and reading would tell it to.
func (x *exchange) waitsForContinue(r *http.Request) bool {
	return r.Header.Get("Expect") != "" && (x.body == nil || !x.body.begun.Load())
}

const (
	// lingerQuiet is how long a client whose upload was answered early may
	// pause, and lingerTime how long it may go on, before its connection is
	// closed under it.
	lingerQuiet = 500 * time.Millisecond
	lingerTime  = 5 * time.Second
)

// linger lets the client finish an upload that has its response already. Many
// clients read the response only then, and lose it when the connection is
// closed before.
//
// The body has to be closed here, too, not by net/http after the handler: that
// does not expect the end of a body so late if the two directions are
// independent, and panics ("invalid concurrent Body.Read call").
func (x *exchange) linger(r *http.Request) {
	_ = x.FlushError() // a client that left is seen by reading
	rc := http.NewResponseController(x)
	buf := x.proxy.buffers.get(smallBuffer)
	defer x.proxy.buffers.put(buf)
	for end := time.Now().Add(lingerTime); time.Now().Before(end); {
		// It also ends a Read of the transport's that is under way.
		_ = rc.SetReadDeadline(time.Now().Add(lingerQuiet))
		if _, err := r.Body.Read(*buf); err != nil {
			break
		}
	}
	r.Body.Close()
}

// cut ends an upload whose response was broken off. net/http reads on before it
// closes the connection, and a client that says nothing until it has the rest of
// the response would never learn that there is none.
func (x *exchange) cut(r *http.Request) {
	if !x.uploading() || x.upgraded {
		return
	}
	_ = http.NewResponseController(x).SetReadDeadline(time.Now())
	r.Body.Close()
}
