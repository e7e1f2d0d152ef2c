//go:build unix

package folderlock

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(t.Context(), dir, func() { t.Error("waits for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	if !Held(dir) {
		t.Error("Held = false while it is held")
	}

	// A second one waits, says so once, and gives up with its context.
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	if _, err := Lock(ctx, dir, func() { told++; cancel() }); !errors.Is(err, context.Canceled) || told != 1 {
		t.Errorf("second Lock: %v, told %d times; want context.Canceled, once", err, told)
	}

	waiting := make(chan struct{})
	locked := make(chan error, 1)
	go func() {
		again, err := Lock(t.Context(), dir, func() { close(waiting) })
		if err == nil {
			again()
		}
		locked <- err
	}()
	<-waiting
	unlock()
	if err := <-locked; err != nil {
		t.Errorf("Lock after unlock: %v", err)
	}
	if Held(dir) {
		t.Error("Held = true when nobody holds it")
	}
}

func TestNoFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if _, err := Lock(t.Context(), dir, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lock: %v, want fs.ErrNotExist", err)
	}
	if Held(dir) {
		t.Error("Held = true without a folder")
	}
}
