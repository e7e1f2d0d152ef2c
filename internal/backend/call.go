package backend

import (
	"context"
	"io"
	"maps"
	"net/http"
	"time"
)

// A Field is one line of a head. Names are in canonical form
// (textproto.CanonicalMIMEHeaderKey); a name may come several times.
type Field struct{ Name, Value string }

// A Call is one request on its way to a target. It says what goes over the wire:
// nothing is added but the framing, nothing escaped or put in another order. It
// is not copied once it is in use.
type Call struct {
	// Context ends the call, the body of its response included. Cancel does as
	// well.
	Context context.Context

	// Method is a token.
	Method string

	// Path and Query make the request target, as they are: Path is escaped and
	// begins with a slash, or is "*"; Query has its "?", or is empty.
	Path, Query string

	// Host is sent as it is.
	Host string

	// Fields are the headers but for Host and those of the framing: Connection,
	// Content-Length, Expect, Trailer, Transfer-Encoding and Upgrade. Without a
	// User-Agent among them none is sent.
	Fields []Field

	// Upgrade is the protocol that the client wants to switch to; "" is none.
	Upgrade string

	// Body is the request's; nil if it has none, which Do may find out. It may be
	// read by another goroutine until it was closed, which is after the response
	// at the latest. To close it before it was first read must do no harm: that is
	// what a failed attempt does.
	Body io.ReadCloser

	// Length is how many bytes Body has; -1 is unknown. Without a Body, 0 has
	// methods that usually come with one (POST, PUT, PATCH) say so.
	Length int64

	// Continue has the target asked to agree before the body is sent
	// (Expect: 100-continue).
	Continue bool

	// Trailer is announced, by its names; its values are there when Body has
	// ended.
	Trailer http.Header

	// Hold is how long the call waits for a target at which nobody listens. Nothing
	// has been sent then, so that any call may wait. When that begins Held is
	// called, unless it is nil.
	Hold time.Duration
	Held func()

	// Lasts is called, unless it is nil, when the call turns out to take more than a
	// moment, perhaps again and from any goroutine. Until then, which is some 40 ms,
	// the end of Context goes unnoticed: what causes it need not be looked for.
	Lasts func()

	// Header is an empty map that becomes the response's Header; nil has one made.
	// What is in it without a response means nothing.
	Header http.Header

	// Interim is told of each informational response (1xx, but for 101) before
	// the response proper; nil ignores them. It may change header; its error
	// ends the call.
	Interim func(status int, header http.Header) error

	ending ending
}

// placed returns the head of a response where the call wants it.
func (c *Call) placed(head http.Header) http.Header {
	if c.Header == nil {
		return head
	}
	clear(c.Header)
	maps.Copy(c.Header, head)
	return c.Header
}

// lasts says that the call takes more than a moment.
func (c *Call) lasts() {
	if c.Lasts != nil {
		c.Lasts()
	}
}

// idempotent reports whether a method is defined to have the same effect
// however often it is sent (RFC 9110, section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
