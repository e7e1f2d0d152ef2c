//go:build unix

package static

import (
	"os"
	"syscall"
)

// openFlags open a FIFO without waiting for its writer, and a terminal
// without making it that of the process.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// absent reports whether the error means that there is no such file, or none
// that can be opened.
func absent(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG,
		syscall.EINVAL, syscall.EILSEQ, // a name that the file system does not know how to write
		syscall.ENXIO, syscall.ENODEV, syscall.EOPNOTSUPP: // sockets and devices
		return true
	}
	return false
}

// exhausted reports whether the error passes once other files are closed.
func exhausted(errno syscall.Errno) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
		return true
	}
	return false
}
