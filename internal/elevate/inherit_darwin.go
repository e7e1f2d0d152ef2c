package elevate

import (
	"os"

	"golang.org/x/sys/unix"
)

// Relays says that a process can be kept closed to the others of its user, and
// so be given a way to root.
const Relays = true

// Program returns nil: macOS has no such way. Taking what another process has
// open needs a debugger's rights there, and Adopt keeps debuggers out.
func Program() (*os.File, error) { return nil, nil }

// peerUID returns the user of the process that made the socket at the other
// end of fd.
func peerUID(fd int) (uint32, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// shield keeps debuggers of the same user out (ptrace(2)).
func shield() error { return unix.PtraceDenyAttach() }
