package proxy

import (
	"errors"
	"io"
	"net/http"
	"syscall"

	"go.uber.org/zap"
)

// statusClientClosed is logged for a request whose client left before there
// was a response. It is never sent; nginx made the number known.
const statusClientClosed = 499

// A failure says why a backend gave no response.
type failure struct {
	status int
	reason string // a clause that begins with "it": "it refused the connection"
	detail string // the system's own words, or ""
	hint   string
}

// explain classifies the error of a round trip. Its text never has what a
// backend sent: net/http quotes malformed responses in its errors.
func explain(err error) failure {
	dial, dialing := errors.AsType[*dialError](err)
	switch {
	case dialing && dial.Timeout():
		return failure{http.StatusGatewayTimeout, "it did not accept a connection in time", dial.Error(),
			"Is the address right, and the machine reachable?"}
	case dialing && isRefused(err):
		return failure{http.StatusBadGateway, "it refused the connection", dial.Error(),
			"Is the app running, and on this port?"}
	case dialing:
		return failure{http.StatusBadGateway, "it could not be reached", dial.Error(), ""}
	case isTimeout(err):
		return failure{http.StatusGatewayTimeout, "it stopped answering", errno(err), ""}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errno(err) != "":
		return failure{http.StatusBadGateway, "it closed the connection without a response", errno(err),
			"The app's own log may say why."}
	}
	return failure{http.StatusBadGateway, "it sent no valid HTTP/1.1 response", "",
		"Does the app speak plain HTTP on this port?"}
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
	switch {
	case r.Context().Err() != nil, x.upgraded:
		// The client has left or the proxy is shutting down; and a connection
		// that was taken over has no place for a page.
		panic(http.ErrAbortHandler)
	case x.body != nil && x.body.broken.Load():
		x.proxy.badBody(x, r)
		return
	}
	f := explain(err)
	x.proxy.log.Warn("backend failed",
		zap.String("host", x.host),
		zap.String("backend", x.route.Backend.Name),
		zap.Int("status", f.status),
		zap.String("reason", f.reason),
		zap.String("detail", f.detail))
	x.proxy.badGateway(x, r, f)
}

// brokenOff notes the end of a request that was abandoned half-way.
func (x *exchange) brokenOff(r *http.Request) {
	clientLeft := r.Context().Err() != nil || x.writeErr != nil
	switch {
	case x.status == 0 && clientLeft:
		x.status = statusClientClosed
	case x.status == 0:
		x.status = http.StatusInternalServerError
	}
	if !clientLeft && !x.upgraded && x.route != nil {
		x.proxy.log.Warn("response broken off by the backend",
			zap.String("host", x.host),
			zap.String("backend", x.route.Backend.Name),
			zap.Int("status", x.status),
			zap.Int64("bytes", x.bytes.Load()))
	}
}
