package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sudoRole says what a process of TestUnderSudo is there for.
	sudoRole = "DEVPROXY_TEST_SUDO_ROLE"

	// sudoOutside is the mount namespace that nothing may be changed in.
	sudoOutside = "DEVPROXY_TEST_SUDO_OUTSIDE"

	testProgram = "/tmp/devproxy.test"

	// testerID is the user and group that exist in the namespace only.
	testerID  = 54322
	strangers = 54321
	extraID   = 54399
)

// The children that root's process starts are roles from the first moment on:
// their program has no path, which TestMain wants.
func init() {
	switch role := os.Getenv(sudoRole); role {
	case "", "inside", "parent":
	default:
		os.Exit(sudoChild(role))
	}
}

// TestUnderSudo has root work for somebody else, as under sudo. It runs itself
// again in a mount namespace with an /etc, /root and /home of its own, and
// there as root's process and as the one that root's starts.
func TestUnderSudo(t *testing.T) {
	switch role := os.Getenv(sudoRole); role {
	case "":
		enterUnderSudo(t)
	case "inside":
		insideUnderSudo(t)
	case "parent":
		os.Exit(sudoParent())
	}
}

func enterUnderSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	outside, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestUnderSudo$", "-test.v=true", "-test.timeout=3m")
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=/tmp", "HOME=/root", "XDG_DATA_HOME=/root/data",
		"GORACE=atexit_sleep_ms=0", // else each process would take a second
		sudoRole + "=inside", sudoOutside + "=" + outside}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if cmd.ProcessState == nil && os.Getenv("CI") != "true" {
		t.Skipf("no mount namespace: %v", err)
	}
	if err != nil {
		t.Errorf("in the namespace: %v", err)
	}
}

// makeMachine gives the namespace folders of its own, with a user tester.
func makeMachine(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if own, err := os.Readlink("/proc/self/ns/mnt"); err != nil || own == os.Getenv(sudoOutside) {
		t.Fatalf("still in the outer mount namespace: %v", err)
	}
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	program, err := os.ReadFile("/proc/self/exe")
	must(err)
	must(unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"))
	must(unix.Mount("tmpfs", "/root", "tmpfs", 0, "mode=0700"))
	must(unix.Mount("tmpfs", "/home", "tmpfs", 0, "mode=0755"))
	if out, err := exec.Command("cp", "-a", "/etc", "/tmp/etc").CombinedOutput(); err != nil {
		t.Fatalf("copy /etc: %v\n%s", err, out)
	}
	must(unix.Mount("/tmp/etc", "/etc", "", unix.MS_BIND, ""))
	for file, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("tester:x:%d:%d::/home/tester:/bin/sh\n", testerID, testerID),
		"/etc/group":  fmt.Sprintf("tester:x:%d:\nextra:x:%d:tester\n", testerID, extraID),
	} {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		must(err)
		_, err = f.WriteString(line)
		must(errors.Join(err, f.Close()))
	}
	// TestMain reads the program by its path.
	must(os.WriteFile(testProgram, program, 0o755))
	must(os.Mkdir("/home/tester", 0o700))
	must(os.Chown("/home/tester", testerID, testerID))
}

func insideUnderSudo(t *testing.T) {
	makeMachine(t)
	t.Run("state and privileged step", testSudoHosts)
	t.Run("exit codes", testSudoExitCodes)
	t.Run("who", testSudoWho)
	t.Run("identity", testSudoIdentity)
	t.Run("closed from the start", testSudoClosedFromTheStart)
	t.Run("no way to root", testSudoWithoutRelay)
	t.Run("no programs in memory", testSudoNoMemory)
	t.Run("closed working directory", testSudoClosedFolder)
	t.Run("signals", testSudoSignals)
	t.Run("root's process dies", testSudoParentDies)
	t.Run("the person's process dies", testSudoChildDies)
	t.Run("variable by hand", testSudoByHand)

	if left, err := os.ReadDir("/root"); err != nil || len(left) > 0 {
		t.Errorf("in root's home: %v, %v; want nothing", left, err)
	}
	checkOwned(t, "/home/tester")
}

// checkOwned wants everything in dir to be the tester's.
func checkOwned(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Uid != testerID || st.Gid != testerID {
			t.Errorf("%s belongs to %d:%d, want the tester", path, st.Uid, st.Gid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

var sudoVars = []string{"SUDO_UID=" + strconv.Itoa(testerID), "SUDO_GID=0", "SUDO_USER=somebody", "SUDO_COMMAND=devproxy"}

// underSudo returns devproxy as root starts it for the tester.
func underSudo(t *testing.T, vars []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Args[0] = "devproxy" // see TestMain
	cmd.Dir = "/home/tester"
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "DEVPROXY_") }), vars...)
	return cmd
}

// finished runs cmd and returns what it said.
func finished(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func testSudoHosts(t *testing.T) {
	code, stdout, stderr := finished(t, underSudo(t, sudoVars, "hosts", "sync", "shop.localhost=5000"))
	if code != 0 || !strings.Contains(stdout, "/etc/hosts: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q; want what was written", code, stdout, stderr)
	}
	for _, want := range []string{"devproxy: root is needed to write ", "; running as root:\n    /"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr %q, want %q in it", stderr, want)
		}
	}
	text, err := os.ReadFile("/etc/hosts")
	if err != nil || !strings.Contains(string(text), "shop.localhost") {
		t.Errorf("/etc/hosts: %q, %v; want shop.localhost in it", text, err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/etc/hosts", &st); err != nil || st.Uid != 0 || st.Mode&0o022 != 0 {
		t.Errorf("/etc/hosts is %d's, mode %#o, %v; want root's", st.Uid, st.Mode, err)
	}

	// With sudo -E the person's own folders stay.
	const own = "/home/tester/own"
	code, _, stderr = finished(t, underSudo(t, append(sudoVars, "DEVPROXY_HOME="+own), "ca", "rotate"))
	if _, err := os.Stat(own + "/ca.pem"); err != nil {
		t.Errorf("DEVPROXY_HOME: exit code %d, stderr %q: %v", code, stderr, err)
	}
	finished(t, underSudo(t, sudoVars, "ca", "rotate"))
	if _, err := os.Stat("/home/tester/.local/share/devproxy/ca.pem"); err != nil {
		t.Error(err)
	}
	checkOwned(t, "/home/tester")
}

func testSudoExitCodes(t *testing.T) {
	for want, args := range map[int][]string{
		exitDone:   {"ca", "path"},
		exitUsage:  {"ca", "path", "much"},
		exitFailed: {"ca", "path"},
	} {
		vars := sudoVars
		if want == exitFailed {
			vars = append(vars, "DEVPROXY_HOME=/home/tester/none")
		}
		code, stdout, stderr := finished(t, underSudo(t, vars, args...))
		if code != want {
			t.Errorf("%v: exit code %d, want %d; %s", args, code, want, stderr)
		}
		if path := "/home/tester/.local/share/devproxy/root.pem\n"; want == exitDone && stdout != path {
			t.Errorf("stdout %q, want %q", stdout, path)
		}
	}
}

func testSudoWho(t *testing.T) {
	for _, tt := range []struct {
		vars []string
		args string
		code int
		want string // in what it says
	}{
		{[]string{"SUDO_UID=" + strconv.Itoa(strangers)}, "ca path", exitUsage, `SUDO_UID is "54321": this machine knows no such user`},
		{[]string{"SUDO_UID=me"}, "ca path", exitUsage, `SUDO_UID is "me": it must be the number`},
		{[]string{"SUDO_UID=-1"}, "ca path", exitUsage, `it must be the number`},
		{[]string{"SUDO_UID=4294967295"}, "ca path", exitUsage, `it must be the number`},
		{[]string{"SUDO_UID=99999999999999999999"}, "ca path", exitUsage, `it must be the number`},
		{[]string{"SUDO_USER=noone-here"}, "ca path", exitUsage, `SUDO_USER is "noone-here": this machine knows no such user`},
		{[]string{"SUDO_USER=-h"}, "ca path", exitUsage, `no such user`},
		{[]string{"SUDO_USER=54322"}, "ca path", exitUsage, `no such user`},
		{[]string{"SUDO_USER=tester"}, "ca path", exitDone, "/home/tester/"},
		{[]string{"SUDO_UID=054322"}, "ca path", exitDone, "/home/tester/"},
		{[]string{"SUDO_UID=0", "SUDO_USER=root"}, "ca path", exitFailed, "no CA in /root/"},
		{[]string{"SUDO_USER=root"}, "ca path", exitFailed, "no CA in /root/"},
		{[]string{"SUDO_UID=54322"}, "serve", exitUsage, "the server was started with sudo"},
		{[]string{"SUDO_UID=54322"}, "", exitUsage, "the server was started with sudo"},
		{[]string{"SUDO_USER=tester"}, "--config x.toml shop.localhost=80", exitUsage, "the server was started with sudo"},
		{[]string{"SUDO_UID=54322"}, "-c /no/such check", exitUsage, "/no/such"},
	} {
		code, stdout, stderr := finished(t, underSudo(t, tt.vars, strings.Fields(tt.args)...))
		if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("%v devproxy %s: exit code %d, %q; want %d, %q", tt.vars, tt.args, code, stdout+stderr, tt.code, tt.want)
		}
	}
}
