// Package keylog appends the secrets of TLS connections to a file in the NSS key
// log format (draft-ietf-tls-keylogfile), with which Wireshark decrypts them.
//
// Two things matter more than a complete log. The file is a person's own and
// closed to others, whoever chose its name: the name may come from the
// configuration of a repository that somebody else wrote, and lead to a file
// that must not change, to a pipe, or by a link elsewhere. And a connection
// never suffers: crypto/tls fails the handshake whose secrets cannot be written,
// so that a File takes every line, and says in the log what did not get into it.
package keylog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	// noticePause is how long the log does not repeat what is wrong.
	noticePause = time.Minute

	// reminderPause is how long a log that is written to goes unmentioned.
	reminderPause = time.Hour
)

// A File is a key log. Make one with New. Its methods may be called
// concurrently.
type File struct {
	path string
	log  *zap.Logger

	mu     sync.Mutex // guards what follows
	file   *os.File   // nil: not open
	info   fs.FileInfo
	torn   bool // the file does not end with a whole line
	closed bool

	announced time.Time // when the log last said that it is written to
	warned    time.Time // when it last said that it is not
}

// New returns the key log at path, which is absolute. It is opened at once, or
// made, and the logger told so as a warning. What prevents that is a warning, too:
// it is tried again at each line. The logger may be nil.
func New(path string, logger *zap.Logger) *File {
	if logger == nil {
		logger = zap.NewNop()
	}
	f := &File{path: path, log: logger.Named("keylog")}
	if err := f.open(); err != nil {
		f.warn(err)
	} else {
		f.announce()
	}
	return f
}

// Write appends a line with one write, so that the lines of others that have
// the file open stay whole. It returns no error, whatever happens to the line.
func (f *File) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return len(line), nil
	}
	if err := f.append(line); err != nil {
		f.warn(err)
	} else {
		f.announce()
	}
	return len(line), nil
}

// Close closes the file. Lines that come later, from handshakes that began
// before, are dropped.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.drop()
}

func (f *File) append(line []byte) error {
	if err := f.ready(); err != nil {
		return err
	}
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.file.Write(line)
	if n > 0 {
		f.torn = n < len(line)
	}
	return err
}

// ready opens the file unless it is open, still at its path and still private.
// A log that was deleted or moved away begins anew.
func (f *File) ready() error {
	if f.file != nil {
		info, err := os.Lstat(f.path)
		if err == nil && os.SameFile(info, f.info) {
			return check(info)
		}
		f.drop()
	}
	return f.open()
}

func (f *File) open() error {
	file, err := open(f.path)
	if err != nil {
		return err
	}
	f.file = file
	if f.info, err = file.Stat(); err == nil {
		f.torn, err = examine(file, f.info.Size())
	}
	if err != nil {
		f.drop()
	}
	return err
}

func (f *File) drop() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// announce says now and then that the file is written to.
func (f *File) announce() {
	now := time.Now()
	if !f.announced.IsZero() && now.Sub(f.announced) < reminderPause {
		return
	}
	f.announced = now
	f.log.Warn("TLS secrets are written to a file", zap.String("file", f.path),
		zap.String("problem", "whoever reads it can read all traffic, cookies and passwords included"))
}

// warn says, not too often, why lines are missing.
func (f *File) warn(err error) {
	now := time.Now()
	if !f.warned.IsZero() && now.Sub(f.warned) < noticePause {
		return
	}
	f.warned, f.announced = now, time.Time{} // when it works again, that is news
	problem, hint := explain(err, f.path)
	f.log.Warn("TLS secrets are not written to the file", zap.String("file", f.path),
		zap.String("problem", problem), zap.String("hint", hint))
}

// explain returns what an error means and what to do about it.
func explain(err error, path string) (problem, hint string) {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.problem, r.hint
	}
	problem, hint = err.Error(), "see to it that it can be written, or name another file; it is tried again at the next connection"
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		problem = e.Op + ": " + e.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "make the folder " + filepath.Dir(path)
	case errors.Is(err, syscall.ENOSPC):
		hint = "make room on the disk; it is tried again at the next connection"
	}
	return problem, hint
}
