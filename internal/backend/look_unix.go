//go:build unix

package backend

import "syscall"

// canLook says that an idle connection can be looked at without waiting.
const canLook = true

// looks are at a connection that should be quiet.
type looks struct {
	raw   syscall.RawConn // nil: it cannot be looked at
	look  func(fd uintptr) bool
	quiet bool
	buf   [1]byte
}

func (l *looks) at(c syscall.Conn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	l.raw = raw
	l.look = func(fd uintptr) bool {
		for {
			// What came unasked is lost, but so is the connection.
			_, err := syscall.Read(int(fd), l.buf[:])
			if err == syscall.EINTR {
				continue
			}
			l.quiet = err == syscall.EAGAIN
			return true // whatever it is, it is not waited for
		}
	}
}

// isQuiet reports whether the other side has neither closed the connection nor
// sent anything. If it is not quiet it must not be used again.
func (l *looks) isQuiet() bool {
	if l.raw == nil {
		return true
	}
	l.quiet = false
	return l.raw.Read(l.look) == nil && l.quiet
}
