// Command devproxy gives the apps on a developer's machine real https URLs.
//
// This package wires the internal packages together, reads flags and the
// environment, prints, and exits; how anything works is theirs. Each
// subcommand has a file of its own that reads from top to bottom.
package main

import (
	"context"
	"os"

	"devproxy/internal/http2env"
)

func main() {
	http2env.Restore()
	os.Exit(run(context.Background(), os.Args, os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
