package proxy

import (
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// What the log says when connections cannot be accepted.
const (
	msgNoDescriptors = "out of file descriptors: new connections are closed unanswered"
	msgDescriptors   = "connections are accepted again"
)

// acceptPause is how long to wait for a descriptor to become free.
const acceptPause = 50 * time.Millisecond

// A refuser is a listener that goes on when the process is out of file
// descriptors. Connections that wait then are closed: their clients would
// hang. For that it keeps a descriptor in reserve, which it gives up to accept
// one.
type refuser struct {
	net.Listener
	log     *zap.Logger
	notices *notices
	open    func() (*os.File, error) // takes a descriptor

	mu      sync.Mutex // guards reserve, against Close
	reserve *os.File   // nil: it could not be had
	closed  bool

	refused bool // since the last that was accepted
}

func newRefuser(ln net.Listener, log *zap.Logger, notices *notices) *refuser {
	open := func() (*os.File, error) { return os.Open(os.DevNull) }
	l := &refuser{Listener: ln, log: log, notices: notices, open: open}
	l.replenish()
	return l
}

// Accept returns a connection that can be served.
func (l *refuser) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			// The reserve may be missing. Then this connection takes its place,
			// unless there is room for both by now.
			if l.replenish() {
				l.recovered()
				return conn, nil
			}
			conn.Close()
			l.replenish()
			continue
		}
		if !outOfDescriptors(err) {
			return nil, err
		}
		l.report(err)
		if !l.release() {
			time.Sleep(acceptPause)
		}
	}
}

// Close closes the listener.
func (l *refuser) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.release()
	return l.Listener.Close()
}

// replenish reports whether there is a descriptor in reserve now.
func (l *refuser) replenish() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reserve != nil || l.closed {
		return true
	}
	var err error
	l.reserve, err = l.open()
	return err == nil
}

// release gives up the descriptor in reserve. It reports whether there was one.
func (l *refuser) release() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reserve == nil {
		return false
	}
	l.reserve.Close()
	l.reserve = nil
	return true
}

func (l *refuser) report(err error) {
	l.refused = true
	if due, _ := l.notices.due(notice{kind: msgNoDescriptors}); !due {
		return
	}
	fields := []zap.Field{zap.Error(err), zap.String("hint", descriptorHint)}
	if limit := descriptorLimit(); limit > 0 {
		fields = append(fields, zap.Uint64("limit", limit))
	}
	l.log.Error(msgNoDescriptors, fields...)
}

func (l *refuser) recovered() {
	if !l.refused {
		return
	}
	l.refused = false
	if due, _ := l.notices.due(notice{kind: msgDescriptors}); due {
		l.log.Info(msgDescriptors)
	}
}
