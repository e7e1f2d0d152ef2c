//go:build unix

package folderlock

import (
	"os"

	"golang.org/x/sys/unix"
)

// try takes the lock on dir, or reports that another process holds it.
func try(dir string) (unlock func(), held bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	for {
		switch unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			f.Close()
			return nil, true, nil
		default:
			return func() { f.Close() }, false, nil
		}
	}
}

func held(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}
