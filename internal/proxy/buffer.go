package proxy

import (
	"sync"

	"devproxy/internal/backend"
)

const (
	// smallBuffer is enough for most responses, and for streams that wait.
	smallBuffer = 8 << 10

	// largeBuffer has the connections of a download asked less often. A TLS record
	// has up to 16 KiB.
	largeBuffer = 64 << 10
)

// buffers lends the buffers through which bodies pass. The zero value is ready.
type buffers struct{ small, large sync.Pool }

// get returns a buffer of smallBuffer or largeBuffer bytes.
func (b *buffers) get(size int) *[]byte {
	if buf, ok := b.of(size).Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, size)
	return &buf
}

// put takes back a buffer that get returned.
func (b *buffers) put(buf *[]byte) { b.of(len(*buf)).Put(buf) }

func (b *buffers) of(size int) *sync.Pool {
	if size == smallBuffer {
		return &b.small
	}
	return &b.large
}

// keptFields is how many headers a list may have room for that is lent again.
// Browsers send some 20.
const keptFields = 100

// fields are the list of headers of one call.
type fields struct{ list []backend.Field }

// A fieldsPool lends lists of headers. The zero value is ready.
type fieldsPool struct{ pool sync.Pool }

func (p *fieldsPool) get() *fields {
	if f, ok := p.pool.Get().(*fields); ok {
		return f
	}
	return new(fields)
}

// put takes back a list that get returned, without what was in it.
func (p *fieldsPool) put(f *fields) {
	if cap(f.list) > keptFields {
		return
	}
	clear(f.list)
	p.pool.Put(f)
}
