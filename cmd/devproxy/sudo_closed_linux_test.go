package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"devproxy/internal/elevate"
)

// attack tries, as another process of the same user, what would give it the
// way to root of the process pid. It prints what came of each way.
func attack(pid string) int {
	n, err := strconv.Atoi(pid)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	came := map[string]bool{}
	if pidfd, err := unix.PidfdOpen(n, 0); err == nil {
		_, err = unix.PidfdGetfd(pidfd, relayFile, 0)
		came["pidfd_getfd"] = err == nil
	}
	link, err := os.Readlink("/proc/" + pid + "/fd/" + strconv.Itoa(relayFile))
	came["fd"] = err == nil && strings.HasPrefix(link, "socket:")
	for _, name := range []string{"mem", "maps", "environ", "exe", "syscall"} {
		f, err := os.Open("/proc/" + pid + "/" + name)
		if err == nil && name == "syscall" {
			_, err = f.Read(make([]byte, 1))
		}
		came[name] = err == nil
	}
	var word [8]byte
	local := []unix.Iovec{{Base: &word[0], Len: uint64(len(word))}}
	_, err = unix.ProcessVMReadv(n, local, []unix.RemoteIovec{{Base: 0x1000, Len: len(word)}}, 0)
	came["process_vm_readv"] = err != unix.EPERM // there is nothing at that address
	came["seize"] = unix.PtraceSeize(n) == nil
	if !came["seize"] {
		came["attach"] = unix.PtraceAttach(n) == nil
	}
	json.NewEncoder(os.Stdout).Encode(came)
	return 0
}

// asTester runs a role as an ordinary process of the tester's.
func asTester(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := underSudo(t, []string{sudoRole + "=" + role}, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testerID, Gid: testerID}}
	return cmd
}

func attacked(t *testing.T, pid int) map[string]bool {
	t.Helper()
	code, stdout, stderr := finished(t, asTester(t, "attacker", strconv.Itoa(pid)))
	var came map[string]bool
	if err := json.Unmarshal([]byte(stdout), &came); code != 0 || err != nil {
		t.Fatalf("attacker: exit code %d, %q, %q: %v", code, stdout, stderr, err)
	}
	return came
}

// Before the person's process has run any of its code that could protect it,
// and stopped there for as long as somebody likes, it is closed.
func testSudoClosedFromTheStart(t *testing.T) {
	p := startPair(t, "stopped")
	p.up(t, p.out)
	for way, came := range attacked(t, p.child) {
		if came {
			t.Errorf("%s: a process of the same user gets through", way)
		}
	}
	if err := syscall.Kill(p.child, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 128+9)

	// The same ways lead into a process that was started in the usual manner.
	conn, theirs, err := elevate.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer theirs.Close()
	open := asTester(t, "stopped")
	open.ExtraFiles = []*os.File{theirs}
	out, err := open.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Start(); err != nil {
		t.Fatal(err)
	}
	defer open.Wait()
	defer open.Process.Kill()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	came := attacked(t, open.Process.Pid)
	for way, through := range came {
		if !through {
			t.Errorf("%s: does not get through even where nothing is closed, so that it shows nothing", way)
		}
	}
	if len(came) < 9 {
		t.Errorf("tried %v, want all ways", came)
	}
}

// A command that never needs root is the person's own process, with nothing of
// root's behind it.
func testSudoWithoutRelay(t *testing.T) {
	finished(t, underSudo(t, sudoVars, "ca", "rotate"))
	cmd := underSudo(t, sudoVars, "exec", "--", "/bin/sh", "-c",
		`echo "$$ $PPID"; id -u; id -g; id -G; readlink /proc/$$/fd/*; grep ^Cap /proc/$$/status; env`)
	code, stdout, stderr := finished(t, cmd)
	lines := strings.Split(stdout, "\n")
	if code != 0 || len(lines) < 5 {
		t.Fatalf("exit code %d, %q, %q", code, stdout, stderr)
	}
	id, groups := strconv.Itoa(testerID), strings.Fields(lines[3])
	slices.Sort(groups)
	if want := []string{fmt.Sprint(cmd.Process.Pid, " ", os.Getpid()), id, id}; !slices.Equal(lines[:3], want) {
		t.Errorf("process and parent, user, group: %q, want %q", lines[:3], want)
	}
	if want := []string{id, strconv.Itoa(extraID)}; !slices.Equal(groups, want) {
		t.Errorf("groups %q, want %q", groups, want)
	}
	for _, line := range lines {
		if strings.Contains(line, "socket:") || strings.Contains(line, "memfd:") || strings.Contains(line, relayVar) {
			t.Errorf("the command has %s", line)
		}
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok && strings.Trim(set, "\t0") != "" {
			t.Errorf("the command has capabilities %s", set)
		}
	}
}

// Where no program can be made in memory, nothing is run in a way that is open
// to others.
func testSudoNoMemory(t *testing.T) {
	program := filepath.Join(t.TempDir(), "devproxy")
	if err := os.Symlink(testProgram, program); err != nil {
		t.Fatal(err)
	}
	// The setting is that of a PID namespace (Linux 6.3).
	const script = `mount -t proc proc /proc || exit 77
{ echo 2 >/proc/sys/vm/memfd_noexec; } 2>/dev/null || exit 77
exec "$@"`
	cmd := underSudo(t, sudoVars, "-c", script, "sh", program, "hosts", "sync", "memory.localhost=5000")
	cmd.Path, cmd.Args[0] = "/bin/sh", "sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	code, stdout, stderr := finished(t, cmd)
	if code == 77 {
		t.Skip("this kernel cannot forbid programs in memory, or lets nobody set that")
	}
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "vm.memfd_noexec") || !strings.Contains(stderr, "hint: start devproxy as yourself") {
		t.Errorf("exit code %d, %q, %q; want a refusal with the way out", code, stdout, stderr)
	}
	if hosts, err := os.ReadFile("/etc/hosts"); err != nil || strings.Contains(string(hosts), "memory.localhost") {
		t.Errorf("/etc/hosts: %q, %v; want it unchanged", hosts, err)
	}
}

func TestNeedsRoot(t *testing.T) {
	root := newApp([]string{"devproxy"}, func(string) string { return "" }, nil, nil, nil).rootCommand()
	for _, line := range rootCommands() {
		args := strings.Fields(line)[1:]
		if cmd, _, err := root.Find(args); err != nil || cmd.CommandPath() != line {
			t.Errorf("%s: there is no such command", line)
		}
		if !needsRoot(root, args) || !needsRoot(root, append([]string{"-c", "x.toml"}, append(args, "x")...)) {
			t.Errorf("%s: gets no way to root", line)
		}
	}
	for _, line := range []string{"", "trsut", "ca", "ca path", "ca show", "hosts", "env", "exec -- devproxy trust", "exec trust", "doctor", "check",
		"routes", "version", "help trust", "serve", "trust.localhost=80", "completion bash", "-c trust check"} {
		if needsRoot(root, strings.Fields(line)) {
			t.Errorf("devproxy %s: is given a way to root", line)
		}
	}
}
