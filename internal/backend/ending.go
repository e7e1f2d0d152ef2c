package backend

import (
	"context"
	"sync"
)

// An ending is the end of a call before its time, by Cancel. A context of the
// call's own would do as well, at several times the cost.
type ending struct {
	mu     sync.Mutex // guards what follows
	cause  error      // nil: it has not come
	link   *link      // that the call uses
	ctx    context.Context
	cancel context.CancelCauseFunc // of ctx; nil if there is none yet
}

// Cancel ends the call as the end of its Context does, which has to be set. It may
// be called from any goroutine and at any time, before Do and after it as well.
// The first cause counts; nil is context.Canceled.
func (c *Call) Cancel(cause error) {
	e := &c.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause != nil {
		return
	}
	if e.cause = context.Cause(c.Context); e.cause != nil {
		return // which ends what is under way
	}
	if e.cause = cause; cause == nil {
		e.cause = context.Canceled
	}
	if e.link != nil {
		e.link.interrupt()
	}
	if e.cancel != nil {
		e.cancel(e.cause)
	}
}

// Cause returns why the call has ended, by its Context or by Cancel; nil if it has
// not.
func (c *Call) Cause() error {
	e := &c.ending
	e.mu.Lock()
	cause := e.cause
	e.mu.Unlock()
	if cause != nil {
		return cause
	}
	return context.Cause(c.Context)
}

// Ending returns a context that ends when the call does, and with its Context at
// the latest.
func (c *Call) Ending() context.Context {
	e := &c.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil {
		e.ctx, e.cancel = context.WithCancelCause(c.Context)
		if e.cause != nil {
			e.cancel(e.cause)
		}
	}
	return e.ctx
}

// use has Cancel interrupt l; nil ends that. It reports whether that has not
// happened.
func (c *Call) use(l *link) (calm bool) {
	e := &c.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	calm = e.cause == nil
	if e.link = l; l != nil && !calm {
		l.interrupt()
	}
	return calm
}

// instead returns the cause of the call's end, or err if that has not come.
func (c *Call) instead(err error) error {
	if cause := c.Cause(); cause != nil {
		return cause
	}
	return err
}
