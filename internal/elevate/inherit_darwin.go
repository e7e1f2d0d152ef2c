package elevate

import "golang.org/x/sys/unix"

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
