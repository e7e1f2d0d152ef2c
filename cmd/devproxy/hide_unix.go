//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// hideInput stops a terminal from showing what is typed. Lines are still edited
// there, and Ctrl-C still is a signal.
func hideInput(fd int) error {
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	t.Lflag |= unix.ICANON | unix.ISIG
	t.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, setTermios, t)
}

// resumptions reports when the process goes on after Ctrl-Z. done ends that.
func resumptions() (resumed <-chan os.Signal, done func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCONT)
	return c, func() { signal.Stop(c) }
}
