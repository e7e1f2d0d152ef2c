package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"devproxy/internal/elevate"
)

// sudoParent is root's process, with a test instead of a command as the child.
func sudoParent() int {
	os.Setenv(sudoRole, os.Getenv(sudoRole+"_NEXT"))
	a := newApp([]string{"devproxy"}, os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	p, err := a.caller(context.Background())
	if err != nil {
		fmt.Println("caller:", err)
		return 99
	}
	code, err := a.startAs(context.Background(), p, []string{testProgram, "-test.run=^TestUnderSudo$"}, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Println("startAs:", err)
		return 99
	}
	return code
}

type sudoSeen struct {
	IDs        []int
	Groups     []int
	Env, Files []string
	Closed     bool // to other processes of the user
}

// sudoChild is the person's process, which does what the role says.
func sudoChild(role string) int {
	switch role {
	case "stopped":
		fmt.Println("up", os.Getpid())
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return 0
	case "attacker":
		return attack(os.Args[1])
	}
	a := newApp([]string{"devproxy"}, os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	ctx, leave := a.joinRoot(context.Background())
	defer leave()
	if role != "deaf" {
		var stop func()
		ctx, stop = untilSignal(ctx)
		defer stop()
	}
	ask := func(script string, args ...string) error {
		return a.elevate(ctx, "test", []elevate.Command{append(elevate.Command{"/bin/sh", "-c", script, "sh"}, args...)})
	}
	switch role {
	case "look":
		seen := sudoSeen{Env: os.Environ(), IDs: []int{os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid()}}
		seen.Groups, _ = os.Getgroups()
		out, err := exec.Command("/bin/sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done; true").Output()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 99
		}
		seen.Files = strings.Fields(string(out))
		var st unix.Stat_t
		seen.Closed = unix.Stat("/proc/self/environ", &st) == nil && st.Uid == 0
		json.NewEncoder(os.Stdout).Encode(seen)
	case "wait":
		fmt.Println("up", os.Getpid())
		<-ctx.Done()
		return 7
	case "deaf":
		fmt.Println("up", os.Getpid())
		select {}
	case "ask":
		fmt.Println("up", os.Getpid())
		bufio.NewReader(os.Stdin).ReadString('\n')
		err := ask("exit 3")
		fmt.Println(errors.Is(err, elevate.ErrUnavailable), err)
	case "hang":
		err := ask(`exec 3>/tmp/lifeline; echo "$1" >&3; sleep 60`, "up "+strconv.Itoa(os.Getpid()))
		fmt.Println(errors.Is(err, context.Canceled), err)
	}
	return 0
}

// A pair is root's process and the person's, once that is up.
type sudoPair struct {
	cmd   *exec.Cmd
	child int // process ID
	in    io.WriteCloser
	out   *bufio.Reader
}

func startPair(t *testing.T, role string, vars ...string) *sudoPair {
	t.Helper()
	p := &sudoPair{cmd: underSudo(t, append(slices.Concat(sudoVars, vars), sudoRole+"=parent", sudoRole+"_NEXT="+role), "-test.run=^TestUnderSudo$")}
	p.cmd.Path, p.cmd.Args[0] = testProgram, testProgram
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = os.Stderr
	// Not cmd.StdinPipe and cmd.StdoutPipe: Wait must not close them.
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.in, p.out = inRead, outWrite, inWrite, bufio.NewReader(outRead)
	outRead.SetReadDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { inWrite.Close(); outRead.Close() })
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inRead.Close()
	outWrite.Close()
	return p
}

func (p *sudoPair) up(t *testing.T, from *bufio.Reader) {
	t.Helper()
	line, err := from.ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "up %d", &p.child); err != nil || scanErr != nil {
		t.Fatalf("read %q, %v; want that the child is up", line, err)
	}
}

func (p *sudoPair) ends(t *testing.T, want int) {
	t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d (%v), want %d", got, p.cmd.ProcessState, want)
	}
}

func testSudoIdentity(t *testing.T) {
	if err := os.Symlink("/root", "/tmp/link"); err != nil {
		t.Fatal(err)
	}
	secret, err := os.Create("/root/secret")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(secret.Name())
	defer secret.Close()
	p := startPair(t, "look", "KEPT=1", "XDG_CONFIG_HOME=/home/tester/config", "XDG_RUNTIME_DIR=/run/user/0",
		"XDG_CACHE_HOME=/tmp/link/cache", "DEVPROXY_HOME=/root/../root", "XDG_DATA_DIRS=/usr/share:/root/x", "MAIL=/var/mail/root")
	var seen sudoSeen
	if err := json.NewDecoder(p.out).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 0)

	if want := []int{testerID, testerID, testerID, testerID}; !slices.Equal(seen.IDs, want) {
		t.Errorf("real and effective IDs %v, want %v", seen.IDs, want)
	}
	slices.Sort(seen.Groups)
	if want := []int{testerID, extraID}; !slices.Equal(slices.Compact(seen.Groups), want) {
		t.Errorf("groups %v, want %v", seen.Groups, want)
	}
	for _, want := range []string{"HOME=/home/tester", "USER=tester", "LOGNAME=tester", "KEPT=1", "XDG_CONFIG_HOME=/home/tester/config"} {
		if !slices.Contains(seen.Env, want) {
			t.Errorf("environment %q, want %s in it", seen.Env, want)
		}
	}
	for _, kv := range seen.Env {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "SUDO_") || name == relayVar || name == "MAIL" || strings.Contains(value, "root") || value == "/run/user/0" || strings.Contains(value, "link") {
			t.Errorf("environment holds %s", kv)
		}
	}
	for _, file := range seen.Files {
		if strings.HasPrefix(file, "socket:") || strings.Contains(file, "memfd:") {
			t.Errorf("what the child starts has %q, want no socket and no program", seen.Files)
		}
	}
	if len(seen.Files) < 3 {
		t.Errorf("what the child starts has %q, want standard input and output at least", seen.Files)
	}
	if !seen.Closed {
		t.Error("other processes of the user can trace the child")
	}
}

// What root's shell has open stays root's, even where sudo did not close it.
func TestKeepOpenFiles(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0) // not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	keepOpenFiles()
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("file descriptor %d: flags %#x, %v; want closed on exec", fd, flags, err)
		}
	}
}

func testSudoClosedFolder(t *testing.T) {
	cmd := underSudo(t, sudoVars, "ca", "path")
	cmd.Dir = "/root"
	if code, stdout, stderr := finished(t, cmd); code != exitDone || !strings.HasPrefix(stdout, "/home/tester/") {
		t.Errorf("ca path: exit code %d, %q, %q; want the path", code, stdout, stderr)
	}
	if err := os.Mkdir("/root/deep", 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove("/root/deep")
	cmd = underSudo(t, sudoVars, "routes")
	cmd.Dir = "/root/deep"
	if code, stdout, stderr := finished(t, cmd); !strings.Contains(stderr, "permission denied") && code != exitDone {
		t.Errorf("routes: exit code %d, %q, %q; want an explanation", code, stdout, stderr)
	}
}

func testSudoSignals(t *testing.T) {
	for name, tt := range map[string]struct {
		role  string
		kill  syscall.Signal // sent to root's process
		group bool           // and to the person's
		again bool           // until they end
		want  int
	}{
		"TERM":         {"wait", syscall.SIGTERM, false, false, 7},
		"INT":          {"wait", syscall.SIGINT, false, false, 7},
		"Ctrl-C":       {"wait", syscall.SIGINT, true, false, 7},
		"TERM to both": {"wait", syscall.SIGTERM, true, false, 7},
		"HUP":          {"wait", syscall.SIGHUP, false, false, 128 + 1},
		"TERM, TERM":   {"deaf", syscall.SIGTERM, false, true, 128 + 15},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPair(t, tt.role)
			p.up(t, p.out)
			pid := p.cmd.Process.Pid
			if tt.group {
				pid = -pid
			}
			if err := syscall.Kill(pid, tt.kill); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			ended := make(chan struct{})
			if tt.again {
				wg.Go(func() { repeat(p.cmd.Process, tt.kill, ended) })
			}
			p.ends(t, tt.want)
			close(ended)
			wg.Wait()
			if err := syscall.Kill(p.child, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("the person's process is still there: %v", err)
			}
		})
	}
}

// repeat sends sig until the process has ended.
func repeat(process *os.Process, sig os.Signal, ended <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			process.Signal(sig)
		}
	}
}

func testSudoParentDies(t *testing.T) {
	p := startPair(t, "ask")
	p.up(t, p.out)
	p.cmd.Process.Kill()
	p.ends(t, -1)
	p.in.Close()
	line, err := p.out.ReadString('\n')
	if want := "true cannot become root: "; err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("the person's process says %q, %v; want %q", line, err, want)
	}
}

func testSudoChildDies(t *testing.T) {
	if err := syscall.Mkfifo("/tmp/lifeline", 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPair(t, "hang")
	lifeline, err := os.Open("/tmp/lifeline") // waits for the command
	if err != nil {
		t.Fatal(err)
	}
	defer lifeline.Close()
	in := bufio.NewReader(lifeline)
	p.up(t, in)
	if err := syscall.Kill(p.child, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 128+9)
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() { defer close(over); io.Copy(io.Discard, in) })
	select {
	case <-over:
	case <-time.After(20 * time.Second):
		t.Error("the command of root's goes on")
		lifeline.Close()
	}
	wg.Wait()
}

// A person who sets the variable themself has what they have without it.
func testSudoByHand(t *testing.T) {
	for _, value := range []string{"x", "-1", "0", "1", "3", "77", "99999999999999999999"} {
		cmd := underSudo(t, []string{relayVar + "=" + value, "HOME=/home/tester", "XDG_DATA_HOME="}, "ca", "path")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testerID, Gid: testerID}}
		code, stdout, stderr := finished(t, cmd)
		if code != exitDone || stderr != "" || !strings.HasPrefix(stdout, "/home/tester/") {
			t.Errorf("%s=%s: exit code %d, %q, %q; want the path", relayVar, value, code, stdout, stderr)
		}
	}
}
