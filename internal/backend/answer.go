package backend

import (
	"errors"
	"io"
	"net/http"
	"slices"
)

// ErrEarlySwitch says that a backend has changed the protocol in the middle of a
// message (RFC 9110, section 7.8): what is left of the request's body would go out
// among what the client says then.
var ErrEarlySwitch = errors.New("the backend switches protocols before it has the whole request")

// answer reads the response up to its body, and what comes before it.
func (x *exchange) answer(c *Call) error {
	x.link.limit()
	if _, err := x.scratch.in.Peek(1); err != nil {
		return err
	}
	x.heard = true
	for {
		if err := x.readHead(c.Method); err != nil {
			return err
		}
		status := x.res.StatusCode
		if !isInterim(status) {
			break
		}
		if status == http.StatusContinue {
			x.sender.agree(true)
		}
		if c.Interim != nil {
			if err := c.Interim(status, x.res.Header); err != nil {
				return err
			}
			x.link.limit()
		}
	}
	x.link.unlimit()
	x.keep = x.keep && !x.res.Close && x.res.StatusCode >= 200
	// A target that goes on after its answer expects the body as the next thing.
	x.sender.agree(x.keep)
	if x.res.StatusCode == http.StatusSwitchingProtocols {
		if !x.sender.finished() {
			return ErrEarlySwitch
		}
		x.res.Body = &upgraded{x}
		return nil
	}
	x.res.Body = x
	if x.left == 0 {
		x.err = io.EOF
		if x.complete(); x.over.Load() {
			x.res.Body = http.NoBody
		}
	}
	return nil
}

// isInterim reports whether a status says that there is another response to come.
func isInterim(status int) bool {
	return status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols
}

// readHead reads the head of a response, and says how its body ends.
func (x *exchange) readHead(method string) error {
	if x.readPlain(method) {
		return nil
	}
	res, err := http.ReadResponse(x.scratch.in, &http.Request{Method: method})
	if err != nil {
		return err
	}
	x.takeOver(res)
	return nil
}

// takeOver makes res, which net/http has read, the response. How its body ends
// was net/http's to find out, but reading it is not.
func (x *exchange) takeOver(res *http.Response) {
	x.res = *res
	x.res.Request, x.res.Body = nil, nil
	if !isInterim(res.StatusCode) {
		x.res.Header = x.call.placed(res.Header)
	}
	switch {
	case res.Body == http.NoBody:
		x.left = 0
	case slices.Contains(res.TransferEncoding, "chunked"):
		x.chunks(x.scratch.in)
	case res.ContentLength >= 0:
		x.left = res.ContentLength
	default:
		x.left = untilClose
	}
}

// An upgraded connection, once the target has switched protocols.
type upgraded struct{ x *exchange }

func (u *upgraded) Read(p []byte) (int, error) {
	x := u.x
	if s := x.scratch; s != nil {
		if n := s.in.Buffered(); n > 0 {
			return s.in.Read(p[:min(n, len(p))])
		}
		x.scratch = nil
		s.free()
	}
	n, err := x.link.Read(p)
	if err != nil && err != io.EOF {
		err = x.call.instead(err)
	}
	return n, err
}

func (u *upgraded) Write(p []byte) (int, error) {
	n, err := u.x.link.Write(p)
	if err != nil {
		err = u.x.call.instead(err)
	}
	return n, err
}

func (u *upgraded) CloseWrite() error { return u.x.link.CloseWrite() }

func (u *upgraded) Close() error {
	u.x.settle(false)
	return nil
}
