package proxy

import (
	"io"
	"time"

	"devproxy/internal/refusal"
)

// peekTime is how long the beginning of a body is waited for once its first
// bytes are there. A page that was made in one go is in the kernel by then.
const peekTime = 200 * time.Millisecond

// A piece is what one Read has brought.
type piece struct {
	data []byte
	err  error
}

// A peeked is a body whose beginning was read already and comes once more.
type peeked struct {
	io.ReadCloser
	begin []byte       // what comes once more
	late  <-chan piece // what the Read under way will bring; nil if there is none
	err   error        // where reading has ended
}

// peek reads body until enough says so, up to refusal.Peek bytes. The first
// bytes may take any time; of the others only those count that soon follow,
// since a body may be a stream. A single Read is not enough: it ends where a
// buffer of net/http's does, which is wherever the head has left it.
func peek(body io.ReadCloser, enough func(begin []byte) bool) *peeked {
	p := &peeked{ReadCloser: body}
	p.take(read(body, refusal.Peek))
	var timeout <-chan time.Time
	for !enough(p.begin) && len(p.begin) < refusal.Peek && p.err == nil {
		if timeout == nil {
			timer := time.NewTimer(peekTime)
			defer timer.Stop()
			timeout = timer.C
		}
		late := make(chan piece, 1)
		go readLate(body, refusal.Peek-len(p.begin), late)
		select {
		case next := <-late:
			p.take(next)
		case <-timeout:
			p.late = late
			return p
		}
	}
	return p
}

// readLate ends at the latest when body is closed.
func readLate(body io.Reader, size int, late chan<- piece) { late <- read(body, size) }

func read(body io.Reader, size int) piece {
	buf := make([]byte, size)
	n, err := body.Read(buf)
	return piece{buf[:n], err}
}

func (p *peeked) take(next piece) {
	p.begin = append(p.begin, next.data...)
	p.err = next.err
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.begin) == 0 && p.late != nil {
		p.take(<-p.late)
		p.late = nil
	}
	if len(p.begin) > 0 {
		n := copy(b, p.begin)
		p.begin = p.begin[n:]
		return n, nil
	}
	if p.err != nil {
		return 0, p.err
	}
	return p.ReadCloser.Read(b)
}
