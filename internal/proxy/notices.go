package proxy

import (
	"sync"
	"time"
)

const (
	// noticePause is how long the log does not repeat what it has said.
	noticePause = time.Minute

	// maxNotices is how many things it says in that time. Clients choose host
	// names freely, so their number is theirs to choose as well.
	maxNotices = 100
)

// A notice is what a line of the log is about.
type notice struct {
	kind   string // the line's message
	host   string
	reason string
}

// notices say what clients run into, each thing once in noticePause: a page
// has a hundred assets, and a client that fails tries again.
type notices struct {
	mu   sync.Mutex // guards said
	said map[notice]time.Time
}

// due reports whether n is to be logged now. When there are too many, those
// that are left out are one notice for all hosts, which more reports.
func (l *notices) due(n notice) (log, more bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recentLocked(n, now) {
		return false, false
	}
	if len(l.said) >= maxNotices {
		for old := range l.said {
			l.recentLocked(old, now)
		}
	}
	if len(l.said) >= maxNotices {
		n.host, n.reason, more = "", "", true
		if l.recentLocked(n, now) {
			return false, false
		}
	}
	if l.said == nil {
		l.said = make(map[notice]time.Time)
	}
	l.said[n] = now
	return true, more
}

// recentLocked reports whether n was said less than noticePause ago, and
// forgets it otherwise.
func (l *notices) recentLocked(n notice, now time.Time) bool {
	at, said := l.said[n]
	if said && now.Sub(at) < noticePause {
		return true
	}
	delete(l.said, n)
	return false
}
