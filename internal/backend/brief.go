package backend

import "time"

const (
	// quickClose is the time after a response in which a backend that closes
	// the connection never meant to keep it.
	quickClose = time.Second

	// briefFor is how long that is remembered of a backend.
	briefFor = time.Minute
)

// noteClosed notes that the backend has closed a connection without a word,
// after it was freed.
func (p *Pool) noteClosed(freed time.Time) {
	if time.Since(freed) < quickClose {
		p.brief.Store(time.Now().Add(briefFor).UnixNano())
	}
}

// isBrief reports whether the backend closes each connection after the response
// without having said so, as uWSGI does. A request that is sent just then is
// lost, and if it has a body nobody may send it again: so such a backend is told
// that the connection ends with the response.
func (p *Pool) isBrief() bool {
	until := p.brief.Load()
	return until != 0 && time.Now().UnixNano() < until
}
