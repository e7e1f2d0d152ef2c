package nssdb

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f with the file permissions of nobody, if this is root, who
// could write everything. f must not hand work to other goroutines.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		const nobody = 65534
		if _, err := unix.SetfsuidRetUid(nobody); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestReadOnly(t *testing.T) {
	for name, modes := range map[string]struct {
		folder, certificates, keys fs.FileMode
		readable                   bool
	}{
		"folder":       {0o555, 0o444, 0o444, true},
		"files":        {0o777, 0o444, 0o444, true},
		"key4.db":      {0o777, 0o666, 0o444, true},
		"only folder":  {0o555, 0o666, 0o666, true},
		"unreadable":   {0o777, 0o000, 0o000, false},
		"unsearchable": {0o000, 0o666, 0o666, false},
	} {
		t.Run(name, func(t *testing.T) {
			top, err := os.MkdirTemp("", "nssdb")
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(top, "db")
			t.Cleanup(func() {
				os.Chmod(dir, 0o700)
				os.RemoveAll(top)
			})
			if err := Create(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			root, other := newCA(t, "root", nil), newCA(t, "other", nil)
			mustAdd(t, dir, root)
			err = errors.Join(os.Chmod(top, 0o755), os.Chmod(filepath.Join(dir, certificateFile), modes.certificates),
				os.Chmod(filepath.Join(dir, keyFile), modes.keys))
			if err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			if err := os.Chmod(dir, modes.folder); err != nil {
				t.Fatal(err)
			}
			asNobody(t, func() {
				if !modes.readable {
					if _, _, err := Find(t.Context(), dir, fingerprint(root)); !errors.Is(err, fs.ErrPermission) {
						t.Errorf("Find: %v, want fs.ErrPermission", err)
					}
					return
				}
				find(t, dir, root, true, true)
				wantRoots(t, dir, root)
				if err := Add(t.Context(), dir, "root", root); err != nil {
					t.Errorf("Add of what is there: %v", err)
				}
				if removed, err := Delete(t.Context(), dir, fingerprint(other), other); err != nil || removed {
					t.Errorf("Delete of what is not there = %v, %v", removed, err)
				}
				if err := Add(t.Context(), dir, "other", other); !errors.Is(err, ErrReadOnly) {
					t.Errorf("Add: %v, want ErrReadOnly", err)
				}
				if _, err := Delete(t.Context(), dir, fingerprint(root), nil); !errors.Is(err, ErrReadOnly) {
					t.Errorf("Delete: %v, want ErrReadOnly", err)
				}
			})
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(snapshot(t, dir), before) {
				t.Error("files changed")
			}
		})
	}
}
