package main

import (
	"io"
	"sync/atomic"

	"go.uber.org/zap"

	"devproxy/internal/keylog"
)

// A keyLogSwitch is where a running server writes the secrets of its clients'
// connections, for Wireshark: the file that tls.keylog names at the moment, or
// nowhere. Nothing else turns it on: SSLKEYLOGFILE, which other programs obey, is
// easily left behind in an environment.
type keyLogSwitch struct {
	log  *zap.Logger
	path string // for use alone
	file atomic.Pointer[keylog.File]
}

// use writes to path from the next handshake on; "" is nowhere. Not to be called
// concurrently.
func (s *keyLogSwitch) use(path string) {
	if path == s.path {
		return
	}
	var next *keylog.File
	if path != "" {
		next = keylog.New(path, s.log) // it says so itself
	}
	if old := s.file.Swap(next); old != nil {
		old.Close()
		s.log.Warn("TLS secrets are no longer written to this file", zap.String("file", s.path),
			zap.String("hint", "delete it: what was captured until now can be read with it"))
	}
	s.path = path
}

// writer returns where a connection that begins now has its secrets written,
// nil for nowhere. It may be called concurrently.
func (s *keyLogSwitch) writer() io.Writer {
	if file := s.file.Load(); file != nil {
		return file
	}
	return nil
}
