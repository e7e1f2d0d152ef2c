//go:build unix

package main

import (
	"errors"
	"syscall"
)

// become replaces devproxy by a command; it returns only if that fails.
//
// A script without a first line that names its interpreter is the shell's, as
// in execvp(3).
func (a *app) become(path string, args, environ []string) error {
	err := syscall.Exec(path, args, environ)
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		script := append([]string{"sh", path}, args[1:]...)
		err = syscall.Exec("/bin/sh", script, environ)
	case errors.Is(err, syscall.ENOENT): // the command itself was there
		err = errors.New("the interpreter that it names is missing")
	}
	return cannotRun(args[0], err)
}
