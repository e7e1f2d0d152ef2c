//go:build linux && !race

package socket

import (
	"syscall"
	"unsafe"
)

// The sockets do not block, so the scheduler need not be told that the thread may
// be away for long: that costs more than some of the calls. The runtime itself
// waits for its sockets (epoll_pwait) in the same way.

// read reads into b, which is not empty.
func read(fd uintptr, b []byte) (int, error) {
	return call(syscall.SYS_READ, fd, b)
}

// write writes b, or as much of it as there is room for.
func write(fd uintptr, b []byte) (int, error) {
	return call(syscall.SYS_WRITE, fd, b)
}

func call(number, fd uintptr, b []byte) (int, error) {
	for {
		n, _, err := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch err {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, syscall.EAGAIN
		default:
			return 0, err
		}
	}
}
