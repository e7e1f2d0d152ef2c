//go:build unix

package trust

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile waits until no other process holds file. The lock ends with the
// process, however that dies; the file stays. File systems without locks are
// used without. It calls waiting, which may be nil, if it has to wait.
func lockFile(ctx context.Context, file string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return func() { f.Close() }, nil
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
