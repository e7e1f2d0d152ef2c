package backend

import "time"

const (
	// quickClose is the time after a response in which a backend that closes
	// the connection never meant to keep it.
	quickClose = time.Second

	// briefFor is how long that is remembered of a backend.
	briefFor = time.Minute
)

// noteKept notes that the backend has answered over a connection that was used
// before.
func (p *Pool) noteKept(now time.Time) {
	if last := p.kept.Load(); now.UnixNano()-last > int64(quickClose) {
		p.kept.Store(now.UnixNano())
	}
}

// noteClosed notes that the backend has closed a connection without a word,
// after it was freed. One that has kept others is being restarted.
func (p *Pool) noteClosed(freed time.Time) {
	now := time.Now()
	if now.Sub(freed) < quickClose && now.UnixNano()-p.kept.Load() > int64(briefFor) {
		p.brief.Store(now.Add(briefFor).UnixNano())
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
