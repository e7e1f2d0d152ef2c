package backend

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The direct client speaks HTTP/1.1 on the goroutine of its caller: that writes
// the head of the request, reads the response, and waits for nobody but the
// target. Only a request's body is sent by another goroutine, for the response
// may come before the end of it.

// readBuffer is how many bytes of a response are read at once while it is not
// the caller's buffer that takes them.
const readBuffer = 8 << 10

// resendPause is how long a request waits before it is sent again. A backend that
// is killed loses its connections a moment before it stops listening; a new one
// made in between is lost as well.
const resendPause = 5 * time.Millisecond

// A scratch is the memory of an exchange.
type scratch struct {
	in   *bufio.Reader
	head []byte // of the request
}

var scratches = sync.Pool{New: func() any { return &scratch{in: bufio.NewReaderSize(nil, readBuffer)} }}

// maxScratchHead is how long the head of a request may have been for its memory
// to be kept.
const maxScratchHead = 16 << 10

func (s *scratch) free() {
	s.in.Reset(nil)
	if cap(s.head) <= maxScratchHead {
		scratches.Put(s)
	}
}

// An exchange is one request over one connection, and the response.
type exchange struct {
	res     http.Response
	call    *Call
	link    *link
	idle    *idle
	scratch *scratch // nil once the response was read
	sender  *sender  // nil if no body was begun

	place int         // in the watch
	old   bool        // it was seen there
	stop  func() bool // once the end of the context interrupts it

	written int   // bytes of the head
	heard   bool  // something came
	keep    bool  // neither side has said that the connection ends
	failed  error // to write the head

	over atomic.Bool // the connection belongs to somebody else, or to nobody
	body
}

// send makes an attempt at c over the connections of g.
func (p *Pool) send(c *Call, g *generation) (*http.Response, error) {
	s := scratches.Get().(*scratch)
	x, err := p.exchange(c, g, s)
	if c.Body != nil && (x == nil || x.sender == nil) {
		_ = c.Body.Close() // nobody else does
	}
	if err != nil {
		s.free()
		return nil, c.instead(err)
	}
	return &x.res, nil
}

// exchange sends c and returns the exchange that has its response, or the one
// that failed last, if any. A request goes over another connection if a used one
// took no byte of it; and over a new one, once, if it can do no harm and a used
// one ended without an answer.
func (p *Pool) exchange(c *Call, g *generation, s *scratch) (x *exchange, err error) {
	last := c.Upgrade == "" && p.isBrief()
	if s.head, err = c.appendHead(s.head[:0], last); err != nil {
		return nil, err
	}
	for again := false; ; {
		if err := c.Cause(); err != nil {
			return x, err
		}
		var l *link
		if !again {
			l = g.idle.take(!c.asks(s.head)) // or Ask will look
		}
		if l == nil {
			c.lasts()
			if l, err = p.connect(c.Ending(), g); err != nil {
				return x, err
			}
		}
		x = &exchange{call: c, link: l, idle: g.idle, scratch: s, keep: !last}
		if err = x.run(c); err == nil {
			return x, nil
		}
		err = x.cause(err)
		x.settle(false)
		if !l.used || x.heard || c.Cause() != nil {
			return x, err
		}
		p.noteClosed(l.freed)
		if x.written == 0 {
			continue
		}
		if again = !c.sends() && idempotent(c.Method); !again {
			return x, err
		}
		time.Sleep(resendPause)
	}
}

// asks reports whether a request is all in its head, which moreover goes into a
// socket at once: what breaks off in the middle may have been answered.
func (c *Call) asks(head []byte) bool { return !c.sends() && len(head) <= maxScratchHead }

// cause returns why the exchange failed, when what was noticed is err.
func (x *exchange) cause(err error) error {
	if cause := x.call.Cause(); cause != nil {
		return cause
	}
	broken, fault := x.sender.failure()
	if broken == nil {
		broken = x.failed
	}
	if timeout, ok := err.(net.Error); broken != nil && (fault || ok && timeout.Timeout()) {
		return broken // which has ended the reading
	}
	return err
}

// run sends the request and reads the response up to its body.
func (x *exchange) run(c *Call) error {
	c.use(x.link)
	x.idle.pool.watch.enter(x)
	x.scratch.in.Reset(x.link)
	if x.link.used && c.asks(x.scratch.head) {
		x.link.request = x.scratch.head
		err := x.answer(c)
		if err != nil { // else the link may be somebody else's by now
			x.written = x.link.written
		}
		return err
	}
	x.written, x.failed = x.link.Write(x.scratch.head)
	switch {
	case x.failed != nil && x.written == 0 && x.link.used:
		return x.failed
	case x.failed != nil:
		// There may be an answer all the same.
		time.AfterFunc(lastWord, x.link.interrupt)
		x.keep = false
	case c.sends():
		x.sender = c.startSender(x.link)
	}
	err := x.answer(c)
	if err != nil {
		x.sender.agree(false)
	}
	return err
}

// complete is the end of the response. The connection is free, unless the body
// of the request is still being sent: then the end of that frees it, or Close
// ends it.
func (x *exchange) complete() {
	if s := x.sender; s != nil && !s.over() {
		s.heir.Store(x)
		if s.state.Load() == bodyBegun {
			return
		}
	}
	x.settle(true)
}

// settle gives the connection up, or back if the response was read to its whole
// end; nobody may read it then. It has an effect once.
func (x *exchange) settle(whole bool) {
	if x.over.Swap(true) {
		return
	}
	calm := x.idle.pool.watch.leave(x)
	calm = x.call.use(nil) && calm
	sent := x.sender == nil || x.sender.state.Load() == bodySent
	if whole && x.keep && calm && sent && x.scratch.in.Buffered() == 0 {
		x.idle.put(x.link)
	} else {
		x.link.Close()
	}
	if whole {
		s := x.scratch
		x.scratch = nil
		s.free()
	}
}
