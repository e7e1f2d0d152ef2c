package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"go.uber.org/zap"

	"devproxy/internal/backend"
	"devproxy/internal/refusal"
)

// msgFailed is what the log says of a backend that gave no response.
const msgFailed = "backend failed"

// statusClientClosed is logged for a request whose client left before there
// was a response. It is never sent; nginx made the number known.
const statusClientClosed = 499

// A failure says why a backend gave no response.
type failure struct {
	status int
	title  string // of the page; "" is the usual one
	reason string // a clause that begins with "it": "it refused the connection"
	detail string // the system's own words, or ""
	hint   string
	absent bool // nobody listens there, for the moment
	closed bool // it closed the connection
	alien  bool // it may speak another protocol
}

// explain classifies the error of a round trip. Its text never has what a
// backend sent: net/http quotes malformed responses in its errors.
func explain(err error) failure {
	dial, dialing := errors.AsType[*backend.DialError](err)
	switch {
	case dialing && dial.Exhausted():
		return failure{status: http.StatusServiceUnavailable, reason: "devproxy has no file descriptor left for it", detail: dial.Error(),
			hint: "Close what holds so many connections, or raise the limit (ulimit -n)."}
	case dialing && dial.Timeout():
		return failure{status: http.StatusGatewayTimeout, reason: "it did not accept a connection in time", detail: dial.Error(),
			hint: "Is the address right, and the machine reachable?"}
	case dialing && dial.Refused():
		return failure{status: http.StatusServiceUnavailable, reason: "nobody listens there", detail: dial.Error(),
			hint: "Is the app running, and on this port?", absent: true}
	case dialing && errors.Is(dial, fs.ErrPermission):
		return failure{status: http.StatusBadGateway, reason: "devproxy may not connect to it", detail: dial.Error(),
			hint: "Who writes to a socket needs write permission on its file, and search permission on its folder."}
	case dialing:
		return failure{status: http.StatusBadGateway, reason: "it could not be reached", detail: dial.Error()}
	}
	if f, ok := explainTLS(err); ok {
		return f
	}
	switch {
	case errors.Is(err, errUpgrade):
		return failure{status: http.StatusBadGateway, reason: "it is reached over HTTP/2, which has no upgrades (WebSocket)",
			hint: "If the app speaks HTTP/1.1 on this port as well, write the target with http://."}
	case errors.As(err, new(backend.StreamError)):
		return failure{status: http.StatusBadGateway, reason: "it reset the stream without a response",
			hint: "The app's own log may say why."}
	case isTimeout(err):
		return failure{status: http.StatusGatewayTimeout, reason: "it stopped answering", detail: errno(err)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, backend.ErrTwice), errno(err) != "":
		return failure{status: http.StatusBadGateway, reason: "it closed the connection without a response", detail: errno(err),
			hint: "The app's own log may say why.", closed: true}
	}
	return failure{status: http.StatusBadGateway, reason: "it sent no valid HTTP response", alien: true}
}

// explainTLS classifies what goes wrong with an https backend before the first
// request.
func explainTLS(err error) (failure, bool) {
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failure{status: http.StatusBadGateway, title: "The app's certificate is not accepted", reason: "its certificate was not accepted", detail: bad.Err.Error(),
			hint: "If it is for another name, set host to that name; if you know the server, insecure = true takes any certificate."}, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return failure{status: http.StatusBadGateway, reason: "it does not speak TLS",
			hint: "Write the target with http:// instead of https://."}, true
	}
	// So crypto/tls calls an alert from the other side, whose type it keeps to itself.
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return failure{status: http.StatusBadGateway, reason: "it broke off the TLS handshake", detail: alert.Err.Error(),
			hint: "The server's own log may say why."}, true
	}
	return failure{}, false
}

// protocolHint says what to look at when a backend cannot be understood.
func protocolHint(scheme string) string {
	switch scheme {
	case "h2c":
		return "Does the app speak HTTP/2 without TLS on this port? If it speaks HTTP/1.1, write the target with http://."
	case "https":
		return "Does the app speak HTTP over TLS on this port?"
	case "unix":
		return "Does the app speak plain HTTP on this socket?"
	}
	return "Does the app speak plain HTTP on this port?"
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

// errno returns the text of the operating system's error in err, or "".
func errno(err error) string {
	if code, ok := errors.AsType[syscall.Errno](err); ok {
		return code.Error()
	}
	return ""
}

// failed ends a request for which the backend gave no response.
func (x *exchange) failed(r *http.Request, err error) {
	cause := x.call.Cause()
	switch {
	case cause != nil && !endedByUs(cause), x.upgraded:
		// The client has left or the proxy is shutting down; and a connection
		// that was taken over has no place for a page.
		panic(http.ErrAbortHandler)
	case cause == errClientGone:
		x.endedUnanswered(r)
		return
	case x.body != nil && x.body.broken.Load():
		x.proxy.badBody(x, r)
		return
	}
	if !x.deadline.IsZero() && !time.Now().Before(x.deadline) && errors.As(err, new(backend.StreamError)) {
		x.deadlineExceeded()
		return
	}
	f := explain(err)
	if note, ok := refusal.Unanswered(headBytes(&x.call)); ok && f.closed {
		f.hint = note.Problem + " " + note.Fix
	}
	if f.alien {
		f.hint = protocolHint(x.route.target.Scheme)
	}
	if cause == errRouteGone {
		f = failure{status: http.StatusServiceUnavailable, reason: "the route is gone or leads elsewhere by now"}
	}
	if x.proxy.due(notice{msgFailed, x.host, x.route.Backend.Name + " " + f.reason}) {
		x.proxy.log.Warn(msgFailed,
			zap.String("host", x.host),
			zap.String("backend", x.route.Backend.Name),
			zap.Int("status", f.status),
			zap.String("reason", f.reason),
			zap.String("detail", f.detail),
			zap.String("hint", f.hint))
	}
	x.proxy.badGateway(x, r, f)
}

// endedByUs reports whether an exchange whose call ended for that cause was not
// given up by its client.
func endedByUs(cause error) bool { return cause == errRouteGone || cause == errClientGone }

// endedCause returns why a response was ended by us, nil if it was not.
func (x *exchange) endedCause() error {
	if policy, _ := x.guard.ended(); policy != nil {
		return errClientGone
	}
	if x.forwarded && x.route.tenure.ctx.Err() != nil {
		return context.Cause(x.route.tenure.ctx)
	}
	return nil
}

// What the log says of responses that were ended.
const (
	msgEndedWithRoute  = "response ended: its route is gone or leads elsewhere"
	msgEndedWithClient = "response ended: its host wants a client certificate, and there is none that is accepted"
)

// ended notes that something was ended by us.
func (x *exchange) ended(cause error) {
	message := msgEndedWithRoute
	if cause == errClientGone {
		message = msgEndedWithClient
	}
	x.proxy.log.Info(message,
		zap.String("host", x.host),
		zap.String("backend", x.route.Backend.Name))
}

// brokenOff notes the end of a request that was abandoned half-way.
func (x *exchange) brokenOff(r *http.Request) {
	clientLeft := r.Context().Err() != nil || x.writeErr != nil
	begun := x.status != 0
	switch {
	case x.status == 0 && clientLeft:
		x.status = statusClientClosed
	case x.status == 0:
		x.status = http.StatusInternalServerError
	}
	if clientLeft || x.upgraded || x.route == nil {
		return
	}
	if begun {
		// The head may be waiting for the body still. A browser that gets
		// nothing at all on a connection it has used before sends the
		// request again, a POST too.
		_ = x.FlushError()
	}
	if cause := x.endedCause(); cause != nil {
		x.ended(cause)
		return
	}
	x.proxy.log.Warn("response broken off by the backend",
		zap.String("host", x.host),
		zap.String("backend", x.route.Backend.Name),
		zap.Int("status", x.status),
		zap.Int64("bytes", x.bytes.Load()))
}
