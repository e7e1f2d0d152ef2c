package watch

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

// maxHashed is the size in bytes up to which a file's content is compared; of
// a larger one only size and modification time are.
const maxHashed = 1 << 20

// A state is what can be told apart about a file. States are comparable.
type state struct {
	kind     kind
	size     int64
	modified int64 // nanoseconds
	sum      [sha256.Size]byte
}

type kind byte

const (
	absent     kind = iota
	unreadable      // there, but not for us
	special         // a folder, device, pipe: never opened
	regular
)

// look returns the present state of each path.
func look(paths []string) []state {
	states := make([]state, len(paths))
	for i, p := range paths {
		states[i] = stateOf(p)
	}
	return states
}

func stateOf(path string) state {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return state{kind: absent}
	case err != nil:
		return state{kind: unreadable}
	case !info.Mode().IsRegular():
		return state{kind: special}
	}
	s := state{kind: regular, size: info.Size(), modified: info.ModTime().UnixNano()}
	f, err := os.Open(path)
	if err != nil {
		s.kind = unreadable
		return s
	}
	defer f.Close()
	if s.size > maxHashed {
		return s
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxHashed)); err != nil {
		s.kind = unreadable
		return s
	}
	h.Sum(s.sum[:0])
	return s
}
