package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"devproxy/internal/elevate"
)

// elevate announces a privileged step and runs it.
func (a *app) elevate(ctx context.Context, why string, commands []elevate.Command) error {
	runner := a.elevator()
	if err := runner.Available(); err != nil {
		return err
	}
	if runner.NeedsSudo() {
		fmt.Fprintf(a.stderr, "devproxy: root is needed to %s; sudo will run:\n", why)
		a.ui.commands(commands)
	}
	return runner.Run(ctx, commands)
}

// elevator returns the way this person can become root.
func (a *app) elevator() *elevate.Runner {
	sudo := ""
	for _, dir := range filepath.SplitList(a.env("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, "sudo")); err == nil && filepath.IsAbs(path) {
			sudo = path
			break
		}
	}
	stdin, _ := a.stdin.(*os.File)
	return elevate.New(elevate.Config{
		Root:     os.Geteuid() == 0, // -1 on Windows
		Sudo:     sudo,
		Terminal: isTerminal(a.stdin),
		Stdin:    stdin,
		Stderr:   a.stderr,
	})
}
