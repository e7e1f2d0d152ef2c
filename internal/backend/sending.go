package backend

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What has become of a request's body.
const (
	bodyBegun  int32 = iota
	bodySent         // all of it, to the last byte
	bodyBroken       // it was not sent, or not all of it
)

const (
	// reuseWait is how long the end of a response waits for the goroutine that
	// sends the body: a quick answer to a small body overtakes it, and the
	// connection can be used again if the body gets out.
	reuseWait = 50 * time.Millisecond

	// sendBuffer is how many bytes of a body are read at once.
	sendBuffer = 32 << 10

	// chunkHead is how many bytes the line before a chunk has at most.
	chunkHead = len("8000\r\n")
)

// sendBuf has room for what goes around a chunk, the end of the body included.
type sendBuf [chunkHead + sendBuffer + 64]byte

var sendBufs = sync.Pool{New: func() any { return new(sendBuf) }}

// A sender sends the body of a request while somebody else reads the response.
type sender struct {
	link    *link
	body    io.ReadCloser
	length  int64 // -1: chunks
	trailer http.Header

	// agreed has an element when the target has said whether it wants the body;
	// nil: it is not asked.
	agreed chan bool

	state atomic.Int32
	ended chan struct{}
	heir  atomic.Pointer[exchange] // whose response is complete, and which waits for the end
	err   error                    // if it is broken, set before state
	fault bool                     // err is that of the body, not of the connection
}

func (c *Call) startSender(l *link) *sender {
	s := &sender{link: l, body: c.Body, length: c.Length, trailer: c.Trailer, ended: make(chan struct{})}
	if c.Continue {
		s.agreed = make(chan bool, 1)
	}
	go s.run()
	return s
}

// agree says whether the target wants the body, if that is still open.
func (s *sender) agree(wants bool) {
	if s != nil && s.agreed != nil {
		select {
		case s.agreed <- wants:
		default:
		}
	}
}

// failure returns why the body could not be sent, nil if it was or may be yet.
func (s *sender) failure() (err error, fault bool) {
	if s == nil || s.state.Load() != bodyBroken {
		return nil, false
	}
	return s.err, s.fault
}

// over reports whether the body was sent or will not be, at the end of the
// response or soon after.
func (s *sender) over() bool {
	if s.state.Load() != bodyBegun {
		return true
	}
	limit := time.NewTimer(reuseWait)
	defer limit.Stop()
	select {
	case <-s.ended:
		return true
	case <-limit.C:
		return false
	}
}

// finished reports whether the whole body was sent, now or soon.
func (s *sender) finished() bool {
	return s == nil || s.over() && s.state.Load() == bodySent
}

func (s *sender) run() {
	defer close(s.ended)
	outcome := bodyBroken
	if s.wanted() {
		if s.send() {
			outcome = bodySent
		}
	}
	_ = s.body.Close()
	s.state.Store(outcome)
	switch {
	case s.fault:
		s.link.Close() // or the target would wait for the rest
	case s.err != nil:
		// There may be an answer all the same.
		time.AfterFunc(lastWord, s.link.interrupt)
	}
	if x := s.heir.Load(); x != nil {
		x.settle(true)
	}
}

// wanted waits for the target's word on the body.
func (s *sender) wanted() bool {
	if s.agreed == nil {
		return true
	}
	limit := time.NewTimer(continueWait)
	defer limit.Stop()
	select {
	case wants := <-s.agreed:
		return wants
	case <-limit.C:
		return true
	}
}

func (s *sender) send() bool {
	buf := sendBufs.Get().(*sendBuf)
	defer sendBufs.Put(buf)
	if s.length < 0 {
		return s.sendChunks(buf)
	}
	return s.sendLength(buf[:sendBuffer])
}

// broken notes the error of the body.
func (s *sender) broken(err error) bool {
	s.err, s.fault = err, true
	return false
}

func (s *sender) write(b []byte) bool {
	_, s.err = s.link.Write(b)
	return s.err == nil
}

func (s *sender) sendLength(buf []byte) bool {
	var ended bool
	for left := s.length; left > 0; {
		n, err := s.body.Read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		if n > 0 && !s.write(buf[:n]) {
			return false
		}
		ended = err == io.EOF
		switch {
		case ended && left > 0:
			return s.broken(fmt.Errorf("the body of the request has %d bytes, and %d were promised", s.length-left, s.length))
		case err != nil && !ended:
			return s.broken(err)
		}
	}
	for !ended {
		n, err := s.body.Read(buf[:1])
		ended = err == io.EOF
		switch {
		case n > 0:
			return s.broken(fmt.Errorf("the body of the request has more bytes than the %d that were promised", s.length))
		case err != nil && !ended:
			return s.broken(err)
		}
	}
	return true
}

func (s *sender) sendChunks(buf *sendBuf) bool {
	for {
		n, err := s.body.Read(buf[chunkHead : chunkHead+sendBuffer])
		chunk := buf[chunkHead:chunkHead]
		if n > 0 {
			chunk = frame(buf, n)
		}
		switch {
		case err == io.EOF:
			return s.sendEnd(chunk)
		case n > 0 && !s.write(chunk):
			return false
		case err != nil:
			return s.broken(err)
		}
	}
}

// frame returns the n bytes that are in buf as a chunk.
func frame(buf *sendBuf, n int) []byte {
	size := strconv.AppendInt(make([]byte, 0, chunkHead), int64(n), 16)
	size = append(size, "\r\n"...)
	begin := chunkHead - len(size)
	copy(buf[begin:], size)
	copy(buf[chunkHead+n:], "\r\n")
	return buf[begin : chunkHead+n+2]
}

// sendEnd sends the last chunk with data and what follows it.
func (s *sender) sendEnd(chunk []byte) bool {
	end, err := appendTrailer(append(chunk, "0\r\n"...), s.trailer)
	if err != nil {
		return s.broken(err)
	}
	return s.write(append(end, "\r\n"...))
}
