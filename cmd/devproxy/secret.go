package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// maxSecret bounds passphrases and passwords, in bytes. Nobody types more, and
// a file that holds more is another one than was meant.
const maxSecret = 1024

// errNoTerminal says that a secret was to be asked for where nobody can answer.
var errNoTerminal = errors.New("there is no terminal to ask on")

// askSecret asks for a secret on the terminal, without showing it. It fails
// with errNoTerminal if standard input or standard error is none, and with the
// error of ctx, the terminal as it was before, once that ends.
func (a *app) askSecret(ctx context.Context, prompt string) ([]byte, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(a.stdin) || !isTerminal(a.stderr) {
		return nil, errNoTerminal
	}
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask on the terminal: %v", err)
	}
	// These end the process where nobody looks for them, and would leave a
	// terminal that shows nothing of what is typed.
	deadly := make(chan os.Signal, 1)
	signal.Notify(deadly, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(deadly)
	resumed, done := resumptions()
	defer done()
	// Before the question, or what is typed at once would be seen.
	if err := hideInput(fd); err != nil {
		return nil, fmt.Errorf("ask on the terminal: %w", err)
	}
	defer func() {
		_ = term.Restore(fd, before)
		fmt.Fprintln(a.stderr)
	}()
	fmt.Fprintf(a.stderr, "%s: ", printable(prompt))
	type answer struct {
		secret []byte
		err    error
	}
	answers := make(chan answer, 1)
	go func() { // reading from a terminal cannot be cancelled; this ends with the process
		secret, err := readTypedLine(in)
		answers <- answer{secret, err}
	}()
	for {
		select {
		case got := <-answers:
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.Is(got.err, io.EOF):
				return nil, errors.New("nothing was entered")
			case got.err != nil:
				return nil, fmt.Errorf("ask on the terminal: %v", got.err)
			case len(got.secret) > maxSecret:
				return nil, fmt.Errorf("that is longer than %d bytes", maxSecret)
			}
			return got.secret, nil
		case <-resumed:
			// The shell has made the terminal show what is typed, for itself.
			if err := hideInput(fd); err != nil {
				return nil, fmt.Errorf("ask on the terminal: %w", err)
			}
			fmt.Fprintf(a.stderr, "%s: ", printable(prompt))
		case <-deadly:
			return nil, errInterrupted
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readTypedLine reads a line without its end and nothing beyond it. Of one that
// is too long it keeps enough to tell.
func readTypedLine(in io.Reader) ([]byte, error) {
	var line []byte
	for {
		var b [1]byte
		n, err := in.Read(b[:])
		if n == 1 && b[0] != '\n' && len(line) < maxSecret+2 {
			line = append(line, b[0])
		}
		switch {
		case n == 1 && b[0] == '\n', errors.Is(err, io.EOF) && len(line) > 0:
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case err != nil:
			return nil, err
		}
	}
}

// askNewSecret asks for a new secret, what it is called being what, twice. It
// is never empty.
func (a *app) askNewSecret(ctx context.Context, what string) ([]byte, error) {
	first, err := a.askSecret(ctx, "New "+what)
	if err != nil {
		return nil, err
	}
	if len(first) == 0 {
		return nil, fmt.Errorf("the new %s is empty", what)
	}
	second, err := a.askSecret(ctx, "The same again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, fmt.Errorf("the new %s was not entered the same twice: nothing was changed", what)
	}
	return first, nil
}

// readSecretFile returns the first line of a file, which may be a pipe, without
// its end. No error quotes any of it.
func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+3))
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) > maxSecret:
		return nil, fmt.Errorf("the first line of %s is longer than %d bytes: is it the right file?", path, maxSecret)
	case len(line) == 0:
		return nil, fmt.Errorf("the first line of %s is empty", path)
	}
	return line, nil
}

// awaitSecretFile is readSecretFile until ctx ends.
func awaitSecretFile(ctx context.Context, path string) ([]byte, error) {
	return untilDone(ctx, func() ([]byte, error) { return readSecretFile(path) })
}

// untilDone returns what read does, or the error of ctx once that ends: opening
// a pipe, or reading what somebody types, takes as long as it takes.
func untilDone[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() { // ends with the process, if nothing comes
		value, err := read()
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
