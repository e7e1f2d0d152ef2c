// Package elevate runs short lists of standard system commands as root:
// directly for root, through the Server that started this process as somebody
// else, or through sudo. devproxy does nothing else as root; the same list can
// be shown first or handed to an administrator.
//
// What the commands do, and telling the person before sudo asks for a
// password, is left to the callers.
package elevate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrUnavailable says that there is no way to become root here: not root
// already, and no sudo, nobody at a terminal to answer it, or refused by it.
// Nothing was changed by the command that met it.
var ErrUnavailable = errors.New("cannot become root")

// Timeout bounds each command, not counting the time a person needs to type a
// password. update-ca-certificates takes about a second (clients.md §3).
const Timeout = 10 * time.Second

// A Command is a program, by absolute path, and its arguments.
type Command []string

// String returns the command as it can be shown on a terminal and pasted into
// a POSIX shell. Of one that Fed made it is the plain command on the file,
// without the check.
func (c Command) String() string {
	c = c.plain()
	words := make([]string, len(c))
	for i, w := range c {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// check finds what would make a command mean something else as root.
func (c Command) check() error {
	switch {
	case len(c) == 0:
		return errors.New("empty command")
	case !filepath.IsAbs(c[0]):
		return fmt.Errorf("command %q is not an absolute path", c[0])
	case strings.Contains(c[0], "="): // env would take it for a variable
		return fmt.Errorf("command %q contains an equals sign", c[0])
	}
	return nil
}

// Config says how a Runner may become root.
type Config struct {
	Root     bool    // already root, or root is not needed: run commands directly
	Relay    *Client // for those who are not root, goes before sudo; nil if there is none
	Sudo     string  // absolute path of sudo; "" if there is none
	Terminal bool    // a person can answer sudo's question

	// Stdin and Stderr are sudo's own: it asks at the terminal by itself, but
	// its helpers and replacements may not. Commands read nothing, and what
	// they print goes into errors only. Nil: empty, discarded. Stdin is a file
	// because anything else would be read ahead, into nothing.
	Stdin  *os.File
	Stderr io.Writer
}

// A Runner runs commands as root. Its methods may be called concurrently,
// though two questions for a password at once confuse.
type Runner struct {
	cfg     Config
	limit   time.Duration
	unasked func() bool // sudo runs commands without a password
}

// New returns a Runner.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, limit: Timeout}
	r.unasked = sync.OnceValue(r.probe)
	return r
}

// Available returns nil if Run can be tried, else an error matching
// ErrUnavailable. Without a terminal it asks sudo whether a password is
// needed, the first time it is called.
func (r *Runner) Available() error {
	switch {
	case r.cfg.Root:
		return nil
	case r.cfg.Relay != nil:
		return r.cfg.Relay.available()
	case r.cfg.Sudo == "":
		return fmt.Errorf("%w: there is no sudo", ErrUnavailable)
	case r.cfg.Terminal || r.unasked():
		return nil
	default:
		return fmt.Errorf("%w: no terminal where sudo could ask for a password", ErrUnavailable)
	}
}

// NeedsSudo reports whether Run goes through sudo.
func (r *Runner) NeedsSudo() bool { return !r.cfg.Root && r.cfg.Relay == nil }

// Run runs commands in order as root and stops at the first that fails; its
// error holds the last lines that command printed. The error matches
// ErrUnavailable if neither sudo nor a Server ran the command, and ctx.Err() if
// ctx is done, which also ends the command.
func (r *Runner) Run(ctx context.Context, commands []Command) error {
	if len(commands) == 0 {
		return nil
	}
	for _, c := range commands {
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := r.Available(); err != nil {
		return err
	}
	if !r.cfg.Root && r.cfg.Relay != nil {
		return r.cfg.Relay.run(ctx, commands)
	}
	for _, c := range commands {
		if err := r.run(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
