//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"devproxy/internal/elevate"
)

const (
	// relayVar holds the file descriptor of the connection to root's process.
	relayVar = "DEVPROXY_RELAY_FD"

	// Where the person's process finds what it inherits; see
	// exec.Cmd.ExtraFiles.
	firstExtraFile = 3
	relayFile      = firstExtraFile
	programFile    = firstExtraFile + 1
)

// asCaller runs args again as the person who called sudo, and returns the exit
// code. Where a part of the command may need root, this process stays as their
// way to it; else it becomes theirs. done is false if there is no such person,
// or nothing that could be done for them.
//
// What a person has belongs to them that way, whatever code makes it: the
// process that makes it is theirs.
func (a *app) asCaller(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) (code int, done bool) {
	if variable, _ := a.sudoCaller(); variable == "" || serves(root, args[1:]) {
		return 0, false
	}
	p, err := a.caller(ctx)
	switch {
	case err != nil:
	case p == nil:
		return 0, false
	case elevate.Relays && needsRoot(root, args[1:]):
		code, err = a.startAs(ctx, p, args, stdout, stderr)
	default:
		err = becomePerson(p, args)
	}
	if err != nil {
		a.ui.report(err)
		return exitCode(err), true
	}
	return code, true
}

// becomePerson replaces this process by one of p's that runs args and has no
// way back. It returns only if that fails.
func becomePerson(p *person, args []string) error {
	self, err := ownPath()
	if err != nil {
		return startError(p, err)
	}
	groups := make([]int, len(p.groups))
	for i, g := range p.groups {
		groups[i] = int(g)
	}
	env := p.environ(os.Environ(), rootFolders())
	keepOpenFiles()
	noOpenUmask()
	// The user comes last, who may not change the groups.
	if err = syscall.Setgroups(groups); err == nil {
		err = syscall.Setgid(int(p.gid))
	}
	if err == nil {
		err = syscall.Setuid(int(p.uid))
	}
	if err == nil {
		err = syscall.Exec(self, args, env)
	}
	return startError(p, err)
}

// startAs runs args as p to the end, with this process as the way to root.
func (a *app) startAs(ctx context.Context, p *person, args []string, stdout, stderr io.Writer) (int, error) {
	conn, theirs, err := elevate.Pair()
	if err != nil {
		return 0, fmt.Errorf("start again as %s: %v", p.name, err)
	}
	defer theirs.Close()
	server := elevate.NewServer(conn, elevate.New(elevate.Config{Root: true}))
	defer server.Close()
	cmd, err := closedCommand(theirs)
	if err != nil {
		return 0, withHint(fmt.Errorf("start again as %s, out of reach of %s's other processes: %v", p.name, p.name, err),
			"start devproxy as yourself: it uses sudo by itself for the single steps that need it, and says so first")
	}
	defer closeAll(cmd.ExtraFiles)
	cmd.Args = args // hints say how this was started
	cmd.Env = append(p.environ(os.Environ(), rootFolders()), relayVar+"="+strconv.Itoa(relayFile))
	if stdin, ok := a.stdin.(*os.File); ok {
		cmd.Stdin = stdin
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: p.uid, Gid: p.gid, Groups: p.groups},
	}
	keepOpenFiles()
	noOpenUmask()

	signals := make(chan os.Signal, 8) // a second one must not be lost
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, startError(p, err)
	}
	closeAll(cmd.ExtraFiles) // or the end of their side would never be seen

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(ctx); err != nil {
			a.ui.warn(fmt.Sprintf("nothing more is run as root for %s: %v", p.name, err))
		}
	})
	ended := make(chan error, 1)
	wg.Go(func() { ended <- cmd.Wait() })
	err = passSignals(signals, ended, server, cmd.Process)
	server.Close()
	wg.Wait()
	return status(cmd.ProcessState, err)
}

// closedCommand returns this program as a command that is closed to other
// processes of its user and inherits relay.
func closedCommand(relay *os.File) (*exec.Cmd, error) {
	program, err := elevate.Program()
	if err != nil {
		return nil, err
	}
	if program == nil {
		self, err := ownPath()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self)
		cmd.ExtraFiles = []*os.File{relay}
		return cmd, nil
	}
	cmd := exec.Command("/proc/self/fd/" + strconv.Itoa(programFile))
	cmd.ExtraFiles = []*os.File{relay, program}
	return cmd, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// passSignals waits for process to end. The first signal goes to it as a
// message, since it may well have seen the signal itself, as all in the
// foreground of a terminal do, and a second one would kill it.
func passSignals(signals <-chan os.Signal, ended <-chan error, server *elevate.Server, process *os.Process) error {
	told := false
	for {
		select {
		case err := <-ended:
			return err
		case sig := <-signals:
			if !told && sig != syscall.SIGHUP {
				told = true
				if server.Interrupt() == nil {
					continue
				}
				// It is about to end, or has become another program.
				select {
				case err := <-ended:
					return err
				case <-time.After(200 * time.Millisecond):
				}
			}
			process.Signal(sig) // it may just have ended
		}
	}
}

// status returns the exit code that says how a process ended, in the shell's
// way for one that a signal has killed.
func status(state *os.ProcessState, err error) (int, error) {
	if state == nil {
		return 0, err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

func startError(p *person, err error) error {
	switch {
	case errors.Is(err, syscall.EACCES):
		path, _ := os.Executable()
		return withHint(fmt.Errorf("start again as %s: %v", p.name, err),
			"%s must be allowed to run %s: install it where everyone is, such as /usr/local/bin", p.name, path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EINVAL):
		return withHint(fmt.Errorf("start again as %s: %v", p.name, err),
			"root may not become user %d here, as in a container with few users: start devproxy as that user", p.uid)
	}
	return fmt.Errorf("start again as %s: %v", p.name, err)
}

// ownPath returns a path that leads to this program. On Linux nobody can put
// another one there meanwhile, and it works where the folder is closed.
func ownPath() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// keepOpenFiles keeps what root's shell has open from the person's process:
// sudo closes it, others that set its variables do not.
func keepOpenFiles() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= firstExtraFile {
			unix.CloseOnExec(fd)
		}
	}
}

// noOpenUmask keeps files that root makes from being others' to write.
func noOpenUmask() {
	const closed = 0o022
	mask := unix.Umask(closed)
	unix.Umask(mask | closed)
}

// joinRoot returns a context that holds the way to root's process, if this
// process was started by one, and that ends when a signal has come there. A
// variable that somebody set by hand is passed over: it leads nowhere.
func (a *app) joinRoot(ctx context.Context) (context.Context, func()) {
	value := a.env(relayVar)
	if value == "" {
		return ctx, func() {}
	}
	os.Unsetenv(relayVar)
	fd, err := strconv.Atoi(value)
	if err != nil || fd < firstExtraFile || slices.Contains([]int{0, -1}, os.Geteuid()) {
		return ctx, func() {}
	}
	unix.CloseOnExec(programFile)
	client, err := elevate.Adopt(fd)
	if err != nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, relayKey{}, client))
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-client.Interrupted():
			interrupt(cancel, over)
		case <-over:
		}
	})
	return ctx, func() { close(over); cancel(); wg.Wait(); client.Close() }
}

// interrupt cancels because of a signal at root's process. From then on one
// here kills; but where both were sent it, this process's own may come later
// than the message, and is no second one.
func interrupt(cancel context.CancelFunc, over <-chan struct{}) {
	const late = 500 * time.Millisecond
	twin := make(chan os.Signal, 1)
	signal.Notify(twin, os.Interrupt, syscall.SIGTERM)
	cancel()
	select {
	case <-twin:
	case <-time.After(late):
	case <-over:
		return // it may still come, until the very end
	}
	signal.Stop(twin)
}
