package proxy

import (
	"io"
	"net/http"
	"time"
)

// forward has the route's backend answer. What takes longer than the route's
// tenure is cancelled.
func (p *Proxy) forward(x *exchange, r *http.Request) {
	x.forwarded = true
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// Lets the response begin while the body is still coming, as it may in
		// HTTP/2: an echo, or an upload that is refused early.
		x.duplex = http.NewResponseController(x).EnableFullDuplex() == nil
	}
	if limit, ok := timeOfCall(r); ok {
		x.deadline = time.Now().Add(limit)
	}
	x.call.Context = r.Context()
	x.route.tenure.enter(x)
	defer x.route.tenure.leave(x)
	x.relay(r)
	if x.upgraded {
		if cause := x.call.Cause(); endedByUs(cause) {
			x.ended(cause)
		}
		return
	}
	if x.uploading() && !x.waitsForContinue(r) {
		x.linger(r)
	}
}

// relay sends the request to the backend, and what comes back to the client.
func (x *exchange) relay(r *http.Request) {
	fields := x.proxy.fields.get()
	defer x.proxy.fields.put(fields)
	x.prepare(r, fields)
	x.doze(r)
	if x.body != nil {
		defer x.body.end()
	}
	res, err := x.send()
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols {
		err = x.switchProtocols(res)
	} else if err == nil {
		err = x.respond(r, res)
	}
	if err != nil {
		clear(x.call.Header) // of what is no response
		x.failed(r, err)
	}
}

// doze has nobody look whether the client has left until the call lasts. That is all
// that net/http reads for when HTTP/1.1 has no body to come and no other protocol.
func (x *exchange) doze(r *http.Request) {
	if x.below != nil && r.ContentLength == 0 && x.call.Upgrade == "" {
		x.below.Doze()
		x.call.Lasts = x.below.wake
	}
}

// send has the backend answer the call.
func (x *exchange) send() (*http.Response, error) {
	if x.route.target.Scheme == "h2c" && x.call.Upgrade != "" {
		return nil, errUpgrade
	}
	defer x.interims.end()
	return x.route.pool.Do(&x.call)
}

// respond passes a response on. An error says that nothing was: the response is
// none that could be.
func (x *exchange) respond(r *http.Request, res *http.Response) error {
	defer func() { res.Body.Close() }() // of the body that diagnose may have put there
	err := x.answered(r, res)
	if err != nil {
		return err
	}
	x.announce(res)
	x.WriteHeader(res.StatusCode)
	announced := len(res.Trailer)
	if endsWithHead(r, res) {
		_, err = io.Copy(x, res.Body)
	} else {
		err = x.pass(res.Body)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the end has to tell that there should be more
	}
	x.conclude(res, announced)
	return nil
}

// endsWithHead reports whether nothing but trailers follows the head of a response.
// It then goes out with them, or with the end of the stream over HTTP/2: in gRPC
// such a head has the status of a call, unless another frame follows.
func endsWithHead(r *http.Request, res *http.Response) bool {
	return res.ContentLength == 0 || res.Body == http.NoBody || r.Method == http.MethodHead
}

// pass sends a body to the client, what has arrived at once. The last piece is
// left to the end of the request, which goes out together with it.
func (x *exchange) pass(body io.Reader) error {
	lent := &x.proxy.buffers
	buf := lent.get(smallBuffer)
	defer func() { lent.put(buf) }()
	for {
		if !atHand(body) {
			x.Flush()
		}
		n, err := body.Read(*buf)
		if n > 0 {
			if _, err := x.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n > smallBuffer/2 && len(*buf) == smallBuffer {
			lent.put(buf)
			buf = lent.get(largeBuffer)
		}
	}
}

// atHand reports whether some of a body can be read without waiting. Those that
// do not tell are taken to have nothing yet.
func atHand(body io.Reader) bool {
	b, ok := body.(interface{ Buffered() int })
	return ok && b.Buffered() > 0
}
