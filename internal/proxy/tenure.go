package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"devproxy/internal/backend"
)

// streamGrace is how long what runs on a route may go on after the route is
// gone or leads elsewhere.
const streamGrace = 10 * time.Second

var errRouteGone = errors.New("the route is gone or leads elsewhere")

// A destination is what must stay the same of a route for its streams to go on.
type destination struct {
	host, path string
	target     backend.Target
	handler    string // the backend's name, if it is a handler
}

func (r *Route) destination() destination {
	d := destination{host: r.Host, path: r.Path, target: r.target}
	if r.Backend.Handler != nil {
		d.handler = r.Backend.Name
	}
	return d
}

// A tenure is the time in which a route has one destination, through any number
// of tables. Its context ends, with errRouteGone, some grace after it, and with it
// what runs.
type tenure struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	grace  *time.Timer // nil while a table has the destination

	mu      sync.Mutex // guards running, and serialises the tenure's end with those of exchanges
	running *exchange  // the first of a list

	// open: some exchanges began when no client certificate was asked for. They
	// have no guard that would end them.
	open bool
}

func newTenure() *tenure {
	t := new(tenure)
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// enter has x end when the tenure does, until it leaves.
func (t *tenure) enter(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		x.endEarly(context.Cause(t.ctx))
		return
	}
	if x.next = t.running; x.next != nil {
		x.next.prev = x
	}
	t.running = x
}

// leave returns when x is not being ended, nor will be.
func (t *tenure) leave(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.next != nil {
		x.next.prev = x.prev
	}
	if x.prev != nil {
		x.prev.next = x.next
	} else if t.running == x {
		t.running = x.next
	}
	x.next, x.prev = nil, nil
}

// end ends the tenure and what runs.
func (t *tenure) end(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancel(cause)
	for x := t.running; x != nil; x = x.next {
		x.endEarly(cause)
	}
}

// endEarly cancels what is forwarded. A handler that waits for a client to read
// does not notice, so that writing gets a limit as well. net/http takes it back
// after the handler, so it must not come later.
func (x *exchange) endEarly(cause error) {
	x.call.Cancel(cause)
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(closeTime))
}

// settle gives the routes of s their tenures, those of the table so far where
// they lead to the same. The others begin to leave. t.replacing is held.
func (t *Table) settle(s *snapshot) {
	had := make(map[destination]*tenure)
	if last := t.current.Load(); last != nil {
		for _, r := range last.routes {
			had[r.destination()] = r.tenure
		}
	}
	for d, tenure := range had {
		if shuts(s, d, tenure) {
			delete(had, d)
		}
	}
	for d, tenure := range t.leaving {
		if shuts(s, d, tenure) {
			tenure.grace.Stop()
			delete(t.leaving, d)
		}
	}
	for _, r := range s.routes {
		d := r.destination()
		switch {
		case had[d] != nil:
			r.tenure = had[d]
			delete(had, d)
		case t.leaving[d] != nil && t.leaving[d].grace.Stop():
			r.tenure = t.leaving[d]
			delete(t.leaving, d)
		default:
			r.tenure = newTenure()
		}
		r.tenure.open = r.tenure.open || r.Clients == nil
	}
	for d, gone := range had {
		t.leave(d, gone)
	}
}

// shuts ends a tenure at once, and reports that, if its host insists on client
// certificates in s, and something may run that was not asked for one.
func shuts(s *snapshot, d destination, had *tenure) bool {
	base, wild := strings.CutPrefix(d.host, "*.")
	h := s.exact[base]
	if wild {
		h = s.wildcard[base]
	}
	if !had.open || h == nil || h.clients == nil || !h.clients.Require {
		return false
	}
	had.end(errClientGone)
	return true
}

// leave ends a tenure after the time of grace. t.replacing is held.
func (t *Table) leave(d destination, gone *tenure) {
	if t.leaving == nil {
		t.leaving = make(map[destination]*tenure)
	}
	t.leaving[d] = gone
	gone.grace = time.AfterFunc(streamGrace, func() {
		gone.end(errRouteGone)
		t.replacing.Lock()
		defer t.replacing.Unlock()
		if t.leaving[d] == gone {
			delete(t.leaving, d)
		}
	})
}
