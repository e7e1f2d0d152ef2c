package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// hideInput stops a console from showing what is typed.
func hideInput(fd int) error {
	var mode uint32
	if err := windows.GetConsoleMode(windows.Handle(fd), &mode); err != nil {
		return err
	}
	mode &^= windows.ENABLE_ECHO_INPUT
	mode |= windows.ENABLE_PROCESSED_INPUT | windows.ENABLE_LINE_INPUT
	return windows.SetConsoleMode(windows.Handle(fd), mode)
}

// resumptions reports nothing: no process is suspended from a console.
func resumptions() (resumed <-chan os.Signal, done func()) { return nil, func() {} }
