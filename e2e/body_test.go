package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"math/rand/v2"
	"sync/atomic"
)

// A noise is a body of any size in which no block is like another: what is
// lost, doubled or moved changes its sum. Bodies of one size are the same.
type noise struct {
	block [64 << 10]byte
	size  int64
	sent  atomic.Int64
	hash  hash.Hash

	pause int64 // where to call wait; -1: nowhere
	wait  func()
}

func newNoise(size int64) *noise {
	b := &noise{size: size, hash: sha256.New(), pause: -1}
	rand.NewChaCha8([32]byte{}).Read(b.block[:])
	return b
}

// pauseAt has Read call wait before it goes beyond an offset.
func (b *noise) pauseAt(offset int64, wait func()) { b.pause, b.wait = offset, wait }

func (b *noise) Read(p []byte) (int, error) {
	sent := b.sent.Load()
	if sent == b.pause {
		b.wait()
		b.pause = -1
	}
	if sent == b.size {
		return 0, io.EOF
	}
	at := sent % int64(len(b.block))
	if at == 0 {
		binary.LittleEndian.PutUint64(b.block[:], uint64(sent)^uint64(b.size)<<40)
	}
	n := min(int64(len(p)), b.size-sent, int64(len(b.block))-at)
	if b.pause > sent {
		n = min(n, b.pause-sent)
	}
	copy(p[:n], b.block[at:])
	b.hash.Write(p[:n])
	b.sent.Add(n)
	return int(n), nil
}

// sum returns the SHA-256 of what was read so far.
func (b *noise) sum() string { return hex.EncodeToString(b.hash.Sum(nil)) }

// noiseSum returns the sum of a whole noise.
func noiseSum(size int64) string {
	b := newNoise(size)
	io.Copy(io.Discard, b)
	return b.sum()
}

// A sink takes a body and sums it.
type sink struct {
	hash hash.Hash
	got  atomic.Int64

	pause int64
	wait  func()
}

func newSink() *sink { return &sink{hash: sha256.New(), pause: -1} }

// pauseAt has Write call wait once it has got as much as offset.
func (s *sink) pauseAt(offset int64, wait func()) { s.pause, s.wait = offset, wait }

func (s *sink) Write(p []byte) (int, error) {
	if s.pause >= 0 && s.got.Load() >= s.pause {
		s.wait()
		s.pause = -1
	}
	s.hash.Write(p)
	s.got.Add(int64(len(p)))
	return len(p), nil
}

func (s *sink) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }
