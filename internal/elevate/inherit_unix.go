//go:build unix

package elevate

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pair returns both ends of a new connection: one for NewServer, and one to be
// inherited by the process that will Adopt it. No other process can reach
// either of them.
func Pair() (net.Conn, *os.File, error) {
	// Not every system can open them closed to what is started meanwhile.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("open a socket pair: %v", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "relay")
	conn, err := fileConn(fds[0])
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// Adopt returns a Client for the file descriptor fd, which this process has
// inherited. It fails unless that is a connection with a process of root's.
// Nothing that this process starts will inherit fd, whatever it is; a socket
// that is not taken is closed.
//
// What can read this process's memory could ask in its name, so it stays
// closed to other processes of its user, as Program has made it.
func Adopt(fd int) (*Client, error) {
	unix.CloseOnExec(fd)
	if err := checkSocket(fd); err != nil {
		return nil, noRelay(fd, err)
	}
	if err := checkPeer(fd); err != nil {
		unix.Close(fd)
		return nil, noRelay(fd, err)
	}
	if err := shield(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("close the process to others: %v", err)
	}
	conn, err := fileConn(fd)
	if err != nil {
		return nil, err
	}
	return NewClient(conn), nil
}

func noRelay(fd int, err error) error {
	return fmt.Errorf("file descriptor %d is no connection to root: %w", fd, err)
}

// checkSocket comes first because fd may be anything, such as what the
// language's runtime has opened and needs.
func checkSocket(fd int) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	if _, ok := addr.(*unix.SockaddrUnix); !ok || kind != unix.SOCK_STREAM {
		return errors.New("it is another kind of socket")
	}
	return nil
}

func checkPeer(fd int) error {
	switch uid, err := peerUID(fd); {
	case err != nil:
		return err
	case uid != 0:
		return fmt.Errorf("its other end is user %d's", uid)
	}
	return nil
}

// fileConn takes fd over.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "relay")
	defer f.Close() // the connection has a duplicate
	return net.FileConn(f)
}
