package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
)

// helperTimeout bounds every helper process. certutil takes 20 ms, or 2 s when
// a database is locked (clients.md §6).
const helperTimeout = 10 * time.Second

// A result is what a helper process printed and how it ended.
type result struct {
	out, errs string
	code      int // exit status; negative if a signal ended it
}

// A runner runs a program, by absolute path, with arguments. It fails only if
// the program could not be started or did not end by itself in time.
type runner func(ctx context.Context, argv ...string) (result, error)

// runCommand is the runner outside tests. The process gets no terminal, so
// that it cannot wait for a password, and none of our environment, so that its
// messages are in English and no variable of NSS or Java changes its course.
func runCommand(ctx context.Context, argv ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A grandchild that keeps the pipes open must not outlast the limit.
	cmd.WaitDelay = time.Second
	detach(cmd)
	err := cmd.Run()
	r := result{out: out.String(), errs: errs.String(), code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return r, fmt.Errorf("%s did not finish in time", filepath.Base(argv[0]))
		}
		return r, ctx.Err()
	}
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return r, nil
	}
	return r, err
}

// logged makes each use of run visible at debug level. What a program prints
// is left out: it may be a certificate, which is no secret but is long.
func logged(log *zap.Logger, run runner) runner {
	return func(ctx context.Context, argv ...string) (result, error) {
		start := time.Now()
		r, err := run(ctx, argv...)
		log.Debug("helper run", zap.Strings("command", argv), zap.Int("status", r.code),
			zap.Duration("duration", time.Since(start)), zap.Error(err))
		return r, err
	}
}

// lookUp returns the absolute path of the first of names in a list of folders,
// "" if there is none. Relative folders are skipped: what they hold depends on
// where devproxy is started.
func lookUp(path string, names ...string) string {
	for _, name := range names {
		for _, dir := range filepath.SplitList(path) {
			if !filepath.IsAbs(dir) {
				continue
			}
			if file := filepath.Join(dir, name); isExecutable(file) {
				return file
			}
		}
	}
	return ""
}

// firstLine returns the first line of text that says something.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}
