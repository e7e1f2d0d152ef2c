package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"devproxy/internal/config"
)

// Exit codes, documented in README.md.
const (
	exitDone            = 0
	exitFailed          = 1
	exitUsage           = 2 // wrong usage or configuration
	exitTrustIncomplete = 3
)

// errTrustIncomplete ends trust and untrust when a store is not as asked. The
// table already said which and why.
var errTrustIncomplete = errors.New("some stores are not as they should be")

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default applies again: a second one kills.
	context.AfterFunc(ctx, stop)

	a := newApp(args, env, stdin, stdout, stderr)
	cmd := a.rootCommand()
	cmd.SetArgs(args[1:])
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	a.ui.report(err)
	return exitCode(err)
}

// exitCode classifies the error that ended a command, once and for all.
func exitCode(err error) int {
	switch {
	case errors.Is(err, errTrustIncomplete):
		return exitTrustIncomplete
	case len(config.Errors(err)) > 0:
		return exitUsage
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// A usageError is a command line or a setting that devproxy cannot act on.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// A hintedError carries what to do next beside what went wrong.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}
