//go:build unix && (!linux || race)

package socket

import "syscall"

// These calls are the ordinary ones, which the race detector understands.

// read reads into b, which is not empty.
func read(fd uintptr, b []byte) (int, error) {
	for {
		if n, err := syscall.Read(int(fd), b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// write writes b, or as much of it as there is room for.
func write(fd uintptr, b []byte) (int, error) {
	for {
		if n, err := syscall.Write(int(fd), b); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
