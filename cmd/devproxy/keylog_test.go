package main

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
)

// A handshake that began before the log was turned off has a writer in its hands
// that writes nothing any more.
func TestKeyLogSwitch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	s := &keyLogSwitch{log: zap.NewNop()}
	if w := s.writer(); w != nil {
		t.Errorf("before it is turned on there is a writer: %v", w)
	}
	s.use(path)
	w := s.writer()
	if _, err := w.Write([]byte("RSA 00 00\n")); err != nil {
		t.Error(err)
	}
	s.use(path)
	if again := s.writer(); again != w {
		t.Errorf("the same file again is another writer")
	}
	s.use("")
	if got := s.writer(); got != nil {
		t.Errorf("turned off there is a writer: %v", got)
	}
	if _, err := w.Write([]byte("RSA 11 11\n")); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "RSA 00 00\n" {
		t.Errorf("the file holds %q, %v; want the first line only", text, err)
	}
}
