package trust

import (
	"context"
	"errors"
	"fmt"

	"devproxy/internal/elevate"
)

// certutil runs NSS's tool on databases. What it says tells little
// (clients.md §6): callers look at what it did.
type certutil struct {
	path string // absolute; "" if there is none
	run  runner
}

var errNoCertutil = errors.New("certutil is not installed")

// The commands, as they are run and as --dry-run shows them.

func (c certutil) createCommand(dir string) elevate.Command {
	return elevate.Command{c.path, "-N", "-d", "sql:" + dir, "--empty-password"}
}

// addCommand marks a root as trusted for TLS servers and for nothing else.
func (c certutil) addCommand(dir string, a anchor) elevate.Command {
	return elevate.Command{c.path, "-A", "-d", "sql:" + dir, "-t", "C,,", "-n", a.name, "-a", "-i", a.file}
}

func (c certutil) create(ctx context.Context, dir string) error {
	return c.do(ctx, c.createCommand(dir))
}

func (c certutil) add(ctx context.Context, dir string, a anchor) error {
	return c.do(ctx, c.addCommand(dir, a))
}

func (c certutil) do(ctx context.Context, command elevate.Command) error {
	if c.path == "" {
		return errNoCertutil
	}
	r, err := c.run(ctx, command...)
	if err == nil && r.code != 0 {
		err = fmt.Errorf("certutil: %s", firstLine(r.errs))
	}
	return err
}
