package main

import (
	"io"
	"os"

	"devproxy/internal/certfile"
)

// stdinName is how a command line names standard input.
const stdinName = "-"

// readInput reads a file that a person named, which may be a pipe, or standard
// input, and returns how messages call it. See readFile for what is too large.
func (a *app) readInput(path string) (called string, data []byte, err error) {
	if path == stdinName {
		data, err = readSome(a.stdin)
		return "standard input", data, err
	}
	data, err = readFile(path)
	return path, data, err
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
