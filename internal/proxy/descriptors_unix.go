//go:build unix

package proxy

import (
	"errors"
	"syscall"
)

// descriptorHint says how to raise the limit. Go's runtime has raised the soft
// limit to the hard one already.
const descriptorHint = "raise the limit where devproxy is started: ulimit -n 65536 (root, or LimitNOFILE= of its unit, where the shell may not); many idle clients may be the cause"

// outOfDescriptors reports whether err is about a lack of file descriptors, of
// the process or of the machine.
func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// descriptorLimit returns how many file descriptors the process may have, 0
// if that is unknown.
func descriptorLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}
