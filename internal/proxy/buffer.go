package proxy

import (
	"sync"

	"devproxy/internal/backend"
)

// bufferSize suits TLS: two records of the largest size.
const bufferSize = 32 << 10

// A bufferPool lends the buffers through which response bodies pass. The zero
// value is ready.
type bufferPool struct{ pool sync.Pool }

// get returns a buffer of bufferSize bytes.
func (p *bufferPool) get() []byte {
	if b, ok := p.pool.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, bufferSize)
}

// put takes back a buffer that get returned.
func (p *bufferPool) put(b []byte) { p.pool.Put((*[bufferSize]byte)(b)) }

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
