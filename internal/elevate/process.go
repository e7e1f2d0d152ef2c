package elevate

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// script is what sudo runs for each command; its arguments are the marker, the
// limit in seconds, the PATH, and the command. Doing this on sudo's far side solves what
// cannot be done on the near one:
//
//   - The marker says that sudo let us through: the time limit begins, and a
//     failure from here on is the command's. Asking beforehand (sudo -v, then
//     sudo -n) is no way to know: tickets can be switched off
//     (timestamp_timeout=0), and -v may want a password that the command would
//     not.
//   - sudo belongs to root, so an ordinary user cannot signal it. timeout ends
//     the command together with all its children, and is in turn ended by the
//     shell, which hears Ctrl-C since it stays in the terminal's foreground.
//   - The environment is the same whatever sudoers lets through.
//
// Where there is no timeout (macOS), the limit ends the waiting only.
const script = `printf '%s\n' "$1"
limit=$2
PATH=$3
shift 3
set -- env -i PATH="$PATH" LC_ALL=C "$@"
if command -v timeout >/dev/null; then set -- timeout -k 1 "$limit" "$@"; fi
"$@" </dev/null &
pid=$!
sweep() { kill -s KILL -- "-$pid" 2>/dev/null; }
trap 'kill "$pid"; wait "$pid"; sweep; exit 130' INT TERM HUP
wait "$pid"
status=$?
if [ "$status" = 124 ]; then sweep; fi
exit "$status"`

const (
	// grace is how long a process that was told to end, or children that hold
	// a finished command's output open, are waited for. timeout sends SIGTERM,
	// and SIGKILL a second later.
	grace = 1500 * time.Millisecond

	probeLimit = 5 * time.Second

	path = "/usr/sbin:/usr/bin:/sbin:/bin"
)

var errLimit = errors.New("time limit")

func (r *Runner) run(ctx context.Context, c Command) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var out output
	if r.cfg.Terminal {
		out.live = r.cfg.Stderr
	}
	out.onStart = func() *time.Timer {
		return time.AfterFunc(r.limit+grace, func() { cancel(errLimit) })
	}
	cmd := r.command(running, c)
	cmd.Stdout, cmd.Stderr = &out, &out // one writer: one pipe, in order
	begin := time.Now()
	err := wait(running, cmd)
	atMost := time.Since(begin)

	took, said := out.close()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c, ctx.Err())
	case took == 0 && r.NeedsSudo():
		return fmt.Errorf("%w: sudo did not run %s: %v%s", ErrUnavailable, c, err, said)
	case took > r.limit*9/10, // we see the start a little late
		atMost > r.limit && stopped(err): // or, on a busy machine, very late
		return fmt.Errorf("%s: did not finish within %v%s", c, r.limit, said)
	default:
		return fmt.Errorf("%s: %v%s", c, err, said)
	}
}

// stopped reports whether err is a command's end as timeout brings it about.
// Commands can end like that by themselves; one that did so within the limit
// was not stopped.
func stopped(err error) bool {
	const (
		expired = 124     // timeout's own status
		killed  = 128 + 9 // with SIGKILL, timeout included, where SIGTERM did nothing
	)
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && (exit.ExitCode() == expired || exit.ExitCode() == killed)
}

func (r *Runner) command(ctx context.Context, c Command) *exec.Cmd {
	limit := strconv.FormatFloat(r.limit.Seconds(), 'f', -1, 64)
	args := append([]string{"/bin/sh", "-c", script, "sh", marker, limit, path}, c...)
	if !r.NeedsSudo() {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = []string{"PATH=" + path, "LC_ALL=C"} // sudo cleans up by itself
		return cmd
	}
	sudo := []string{"--"}
	if !r.cfg.Terminal {
		sudo = []string{"-n", "--"}
	}
	cmd := exec.CommandContext(ctx, r.cfg.Sudo, append(sudo, args...)...)
	if r.cfg.Stdin != nil {
		cmd.Stdin = r.cfg.Stdin
	}
	return cmd
}

// probe reports whether sudo runs commands without asking for a password.
func (r *Runner) probe() bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	return wait(ctx, exec.CommandContext(ctx, r.cfg.Sudo, "-n", "--", "/bin/sh", "-c", ":")) == nil
}

// wait starts cmd and waits for its end. When ctx is done it tries to stop
// cmd, and returns soon even if it cannot: a sudo that still waits for a
// password ends with its terminal, one that runs a command with that.
func wait(ctx context.Context, cmd *exec.Cmd) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return finished(err)
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return finished(err)
	case <-time.After(2 * grace):
		return context.Cause(ctx)
	}
}

// finished drops the complaint that children of a command that succeeded kept
// its output open.
func finished(err error) error {
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}
