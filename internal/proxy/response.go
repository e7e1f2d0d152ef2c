package proxy

import "net/http"

// The methods of this file make an exchange an http.ResponseWriter with all
// the abilities of the one it wraps: it flushes, it can be hijacked (see
// switch.go), and through Unwrap http.ResponseController finds the rest.

// WriteHeader notes the status and passes it on. Informational responses
// other than 101 may come before it, any number of them.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
		// A backend that does not say what it sends must not be second-guessed:
		// a nil value keeps net/http from sniffing the body.
		if h := x.Header(); x.forwarded && len(h["Content-Type"]) == 0 {
			h["Content-Type"] = nil
		}
		// Where such a client will stop is not known, so no other request can
		// follow on its connection.
		if x.uploading() && status >= 200 {
			x.Header().Set("Connection", "close")
		}
		if x.handled {
			x.route.Rules.Response.apply(x.Header())
			stripResponse(x.Header(), x.route.Rules.KeepHSTS)
		}
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK) // which net/http is about to send
	}
	var n int
	var err error
	if x.below != nil && len(b) >= gatherFrom {
		n, err = x.writeWhole(b)
	} else {
		n, err = x.ResponseWriter.Write(b)
	}
	x.bytes.Add(int64(n))
	if err != nil && x.writeErr == nil {
		x.writeErr = err
	}
	return n, err
}

// writeWhole writes b and sends it in as few pieces as can be. What comes from a
// backend is flushed in any case: were that left to the caller, net/http would
// send the end of a chunk by itself.
func (x *exchange) writeWhole(b []byte) (n int, err error) {
	x.below.hold()
	defer func() {
		if lost := x.below.release(); err == nil {
			err = lost
		}
	}()
	n, err = x.ResponseWriter.Write(b)
	if err == nil && x.forwarded {
		err = http.NewResponseController(x.ResponseWriter).Flush()
	}
	return n, err
}

// FlushError sends what has been written so far.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// Flush is FlushError for callers that know http.Flusher only.
func (x *exchange) Flush() { _ = x.FlushError() }

// Unwrap gives http.ResponseController what is not implemented here.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
