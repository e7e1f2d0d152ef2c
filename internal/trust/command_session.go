package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// askTimeout bounds a helper that asks a person in a window of its own.
const askTimeout = 2 * time.Minute

// inSession returns a runner for programs that belong to the person's session:
// a window system asks only those who are in it, and Windows programs under WSL
// find their way by the environment. Each may take as long as limit.
func inSession(limit time.Duration) runner {
	return func(ctx context.Context, argv ...string) (result, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		r := result{out: out.String(), errs: errs.String(), code: cmd.ProcessState.ExitCode()}
		if ctx.Err() != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return r, fmt.Errorf("%s did not finish within %v", filepath.Base(argv[0]), limit)
			}
			return r, ctx.Err()
		}
		if _, ended := errors.AsType[*exec.ExitError](err); ended {
			return r, nil
		}
		return r, err
	}
}
