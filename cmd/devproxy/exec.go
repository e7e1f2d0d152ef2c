package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"
)

// The exit codes of a command that did not run, as env(1) and shells have
// them.
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// A statusError ends devproxy with a code that is not its own.
type statusError struct {
	code int
	err  error // nil for the status of a command that ran, and spoke for itself
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

func (a *app) execCommand() *cobra.Command {
	var java bool
	cmd := &cobra.Command{
		Use:   "exec [--java] -- COMMAND [ARG ...]",
		Short: "Run a command that accepts devproxy's certificates",
		Long: `Run a command with the variables that devproxy env prints. The command takes
the place of devproxy: signals reach it, and its exit status is the result.

Exit codes before it runs: 127 if there is no such command, 126 if it cannot be
run, else those of devproxy: 1 failed, 2 wrong usage or configuration.`,
		Example: `  devproxy exec -- python3 client.py
  devproxy exec --java -- mvn test`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return withHint(usagef("there is no command to run"), "write it after two hyphens: %s", a.command("exec -- python3 client.py"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.exec(args, java) },
	}
	cmd.Flags().SetInterspersed(false) // what follows the command's name is the command's
	addJavaFlag(cmd, &java)
	return cmd
}

func (a *app) exec(args []string, java bool) error {
	path, err := lookCommand(args[0])
	if err != nil {
		return err
	}
	vars, err := a.clientVariables(java)
	if err != nil {
		return err
	}
	return a.become(path, args, setVariables(os.Environ(), vars))
}

// lookCommand finds a command as a shell does.
func lookCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrDot) && runtime.GOOS != "windows" {
		err = nil // the person put the working directory into PATH
	}
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "", &statusError{exitNotFound, fmt.Errorf("run %q: command not found", name)}
	}
	return "", cannotRun(name, err)
}

// cannotRun does not repeat the path as the messages of the system do.
func cannotRun(name string, err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &statusError{exitCannotRun, fmt.Errorf("run %q: %w", name, err)}
}
