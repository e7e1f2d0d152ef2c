package proxy

import (
	"errors"
	"maps"
	"net/http"
	"sync"
)

// maxInterim is the number of informational responses that may come before the
// real one. Nobody needs as many.
const maxInterim = 1000

var errInterim = errors.New("too many informational responses")

// interims are the informational responses (1xx) to a request.
type interims struct {
	mu   sync.Mutex // guards what follows, and the client's head while there are any
	seen int
	over bool // the response itself is there, or there is none
}

// end has those that are still reported ignored: the head is another's now.
func (s *interims) end() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

// interim passes an informational response on.
func (x *exchange) interim(status int, header http.Header) error {
	x.interims.mu.Lock()
	defer x.interims.mu.Unlock()
	if x.interims.over {
		return nil
	}
	if x.interims.seen++; x.interims.seen > maxInterim {
		return errInterim
	}
	if status == http.StatusContinue {
		// net/http's server says so itself when the body is first read, which
		// the backend's 100 has just set off: passed on as well, a client could
		// get it twice.
		return nil
	}
	rules := &x.route.Rules
	dropHopByHop(header)
	for _, name := range rules.Response.Remove {
		delete(header, name)
	}
	stripResponse(header, rules.KeepHSTS)
	h := x.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, header)
	x.WriteHeader(status)
	clear(h)
	maps.Copy(h, own)
	return nil
}
