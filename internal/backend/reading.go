package backend

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/textproto"
)

// How many bytes a body has, if that is not known.
const (
	inChunks   = -1
	untilClose = -2
)

var errLongTrailer = errors.New("the trailer of the response is too long")

// A body is what is left of a response's body.
type body struct {
	left    int64     // bytes; or inChunks, or untilClose
	chunked io.Reader // what is in the chunks
	trailer bool      // there is only the trailer left
	err     error     // what reading has ended with
}

func (b *body) chunks(in *bufio.Reader) {
	b.left, b.chunked = inChunks, httputil.NewChunkedReader(in)
}

// Read reads the body of the response. The connection is free when it returns
// io.EOF.
func (x *exchange) Read(p []byte) (int, error) {
	if x.err != nil {
		return 0, x.err
	}
	if x.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := x.read(p)
	switch {
	case err == io.EOF:
		x.complete()
	case err != nil && x.over.Load():
		err = http.ErrBodyReadAfterClose
	case err != nil:
		err = x.cause(err)
		x.settle(false)
	}
	x.err = err
	return n, err
}

// Buffered returns how many bytes a Read has at hand, or fewer: it need not wait
// unless there is none.
func (x *exchange) Buffered() int {
	if x.err != nil || x.scratch == nil {
		return 0
	}
	held, _ := x.scratch.in.Peek(x.scratch.in.Buffered())
	if x.left != inChunks {
		return len(held)
	}
	// Only what is behind a line counts: it could be the one before a chunk.
	held = bytes.TrimPrefix(held, []byte("\r\n"))
	if i := bytes.IndexByte(held, '\n'); i >= 0 {
		return len(held) - i - 1
	}
	return 0
}

// Close ends the exchange. It may be called while the body is read.
func (x *exchange) Close() error {
	x.settle(false)
	return nil
}

func (x *exchange) read(p []byte) (int, error) {
	switch {
	case x.left == 0:
		return 0, io.EOF
	case x.left == inChunks:
		return x.readChunks(p)
	case x.left == untilClose:
		return x.scratch.in.Read(p)
	}
	if int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.scratch.in.Read(p)
	if x.left -= int64(n); x.left == 0 {
		return n, io.EOF
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (x *exchange) readChunks(p []byte) (n int, err error) {
	if !x.trailer {
		if n, err = x.chunked.Read(p); err != io.EOF {
			return n, err
		}
		x.trailer = true
		if n > 0 && x.scratch.in.Buffered() < len("\r\n") {
			return n, nil // what has come does not wait for the end
		}
	}
	if err = x.readTrailer(); err == nil {
		err = io.EOF
	}
	return n, err
}

// readTrailer reads what follows the last chunk.
func (x *exchange) readTrailer() error {
	in := x.scratch.in
	end, err := in.Peek(2)
	if len(end) < 2 {
		return unexpected(err)
	}
	if string(end) == "\r\n" {
		_, err := in.Discard(2)
		return err
	}
	// textproto has no limit of its own.
	for size := 4; ; size++ {
		seen, err := in.Peek(max(size, in.Buffered()))
		if bytes.Contains(seen, []byte("\r\n\r\n")) {
			break
		}
		switch size = len(seen); {
		case err == bufio.ErrBufferFull, size == in.Size():
			return errLongTrailer
		case err != nil:
			return unexpected(err)
		}
	}
	trailer, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil {
		return unexpected(err)
	}
	if x.res.Trailer == nil {
		x.res.Trailer = make(http.Header, len(trailer))
	}
	maps.Copy(x.res.Trailer, http.Header(trailer))
	return nil
}

// unexpected returns err, which came where there had to be more.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
