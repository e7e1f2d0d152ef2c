package main

import (
	"context"
	"io"
	"os"

	"devproxy/internal/certfile"
)

// stdinName is how a command line names standard input.
const stdinName = "-"

// readInput reads a file that a person named, which may be a pipe, or standard
// input, until ctx ends, and returns how messages call it. See readFile for what
// is too large.
func (a *app) readInput(ctx context.Context, path string) (called string, data []byte, err error) {
	called, read := path, func() ([]byte, error) { return readFile(path) }
	if path == stdinName {
		called, read = "standard input", func() ([]byte, error) { return readSome(a.stdin) }
	}
	data, err = untilDone(ctx, read)
	return called, data, err
}

// readFile reads a file with certificates and the like. Of one that is larger
// than certfile.MaxSize it returns one byte more than that.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSome(f)
}

func readSome(in io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(in, certfile.MaxSize+1))
}
