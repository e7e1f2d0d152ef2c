//go:build unix

package issuer

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockFolder waits until no other process holds the lock on dir, and calls
// waiting once if it has to. The lock lies on the folder itself, so it leaves
// no file, and it ends with the process, however that dies. File systems
// without locks are used without.
func lockFolder(ctx context.Context, dir string, waiting func()) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, systemError(dir, "open the folder", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return func() { f.Close() }, nil
		}
		if !told {
			waiting()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// locked reports whether a process holds the lock on dir.
func locked(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// syncFolder makes a new name in dir survive a power cut.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
