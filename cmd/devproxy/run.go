package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"devproxy/internal/config"
	"devproxy/internal/elevate"
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

// errInterrupted ends a command that a signal has stopped before its end.
var errInterrupted = errors.New("interrupted")

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(args, env, stdin, stdout, stderr)
	results := &resultWriter{w: stdout}
	a.stdout, a.ui.out = results, results
	cmd := a.rootCommand()
	if code, done := a.asCaller(ctx, cmd, args, stdout, stderr); done {
		return code
	}
	ctx, leave := a.joinRoot(ctx)
	defer leave()
	ctx, stop := untilSignal(ctx)
	defer stop()

	cmd.SetArgs(args[1:])
	err := cmd.ExecuteContext(ctx)
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	if err == nil {
		err = results.failed()
	}
	if err == nil {
		return exitDone
	}
	if status, ok := errors.AsType[*statusError](err); !ok || status.err != nil {
		a.ui.report(err)
	}
	return exitCode(err)
}

// untilSignal returns a context that ends with the first signal to stop. By
// then signals have their default effect again: a second one kills.
// signal.NotifyContext restores it only after its context has ended, so that
// a second signal may find it still in the way.
func untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	})
	return ctx, func() { cancel(); wg.Wait() }
}

// exitCode classifies the error that ended a command, once and for all.
func exitCode(err error) int {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.code
	}
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

// A hintedError carries what to do next beside what went wrong: a hint and,
// where an administrator has to do it, commands.
type hintedError struct {
	err      error
	hint     string
	commands []elevate.Command
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

func withHint(err error, format string, args ...any) error {
	return &hintedError{err: err, hint: fmt.Sprintf(format, args...)}
}
