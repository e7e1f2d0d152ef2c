package proxy

import (
	"sync"
	"time"
)

const (
	// noticePause is how long the log does not repeat what it has said.
	noticePause = time.Minute

	// maxNotices is how many of a kind it says in that time. Clients choose host
	// names freely, and so could any page in a browser.
	maxNotices = 50
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
	mu   sync.Mutex                      // guards said
	said map[string]map[notice]time.Time // by kind
}

// due reports whether n is to be logged now. When there are too many of its
// kind, those that are left out are one notice together, which more reports.
func (l *notices) due(n notice) (log, more bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.said[n.kind]
	if said == nil {
		said = make(map[notice]time.Time)
		if l.said == nil {
			l.said = make(map[string]map[notice]time.Time)
		}
		l.said[n.kind] = said
	}
	if recent(said, n, now) {
		return false, false
	}
	if len(said) >= maxNotices {
		for old := range said {
			recent(said, old, now)
		}
	}
	if len(said) >= maxNotices {
		n, more = notice{kind: n.kind}, true
		if recent(said, n, now) {
			return false, false
		}
	}
	said[n] = now
	return true, more
}

// recent reports whether n was said less than noticePause ago, and forgets it
// otherwise.
func recent(said map[notice]time.Time, n notice, now time.Time) bool {
	at, ok := said[n]
	if ok && now.Sub(at) < noticePause {
		return true
	}
	delete(said, n)
	return false
}
