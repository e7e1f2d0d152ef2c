package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests run in a sandbox: the test binary starts itself again as root in
// mount and network namespaces of its own, where every folder that trust and
// hosts change is an overlay on the real one. Ports 443 and 80 are free there,
// and what a test breaks is gone with the process.
//
// A namespace of an ordinary user would not do: files of root belong to nobody
// in it, and devproxy rightly refuses folders that do.

const (
	envSandbox = "DEVPROXY_E2E_SANDBOX" // set in the inner process
	envBinary  = "DEVPROXY_E2E_BINARY"  // the program under test
	envGo      = "DEVPROXY_E2E_GO"      // the go command; its caches are in goSettings
)

// goSettings are what the go command needs to build in the sandbox, where it
// is another person's and has no network.
var goSettings = []string{"GOCACHE", "GOMODCACHE", "GOFLAGS"}

// overlaid are the folders that system-wide trust and hosts write to.
var overlaid = []string{"/etc", "/usr/local/share", "/var/lib"}

func TestMain(m *testing.M) {
	if os.Getenv(envSandbox) != "" {
		if err := enterSandbox(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: sandbox:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	code, err := runInSandbox()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// runInSandbox builds the program and gets the packages of npm, which may need
// the network, and starts the inner process. Its exit code is the result.
func runInSandbox() (int, error) {
	dir, err := os.MkdirTemp("", "devproxy-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "devproxy")
	goTool, err := exec.LookPath("go")
	if err != nil {
		return 0, err
	}
	build := exec.Command(goTool, "build", "-o", binary, "./cmd/devproxy")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %v\n%s", err, out)
	}

	env := []string{envSandbox + "=1", envBinary + "=" + binary, envGo + "=" + goTool, npmEnvironment()}
	for _, name := range goSettings {
		value, err := exec.Command(goTool, "env", name).Output()
		if err != nil {
			return 0, fmt.Errorf("go env %s: %v", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	inner, err := innerCommand(env...)
	if err != nil {
		if os.Getenv("CI") == "true" {
			return 0, err
		}
		fmt.Fprintln(os.Stderr, "e2e: all tests skipped:", err)
		return 0, nil
	}
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = inner.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// innerCommand returns this test binary again, as root in new namespaces.
func innerCommand(env ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"unshare", "--mount", "--net", "--propagation", "private", "env"}, env...)
	args = append(append(args, self), os.Args[1:]...)
	if os.Geteuid() != 0 {
		if err := exec.Command("sudo", "-n", "true").Run(); err != nil {
			return nil, errors.New("they need root, or sudo without a password, for namespaces of their own")
		}
		keep := "--preserve-env=CI,DEVPROXY_SOAK,SOAKTIME"
		args = append([]string{"sudo", "-n", keep, "--"}, args...)
	}
	inner := exec.Command(args[0], args[1:]...)
	inner.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return inner, nil
}

// enterSandbox makes the namespaces usable.
func enterSandbox() error {
	if err := loopbackUp(); err != nil {
		return err
	}
	scratch := filepath.Join(filepath.Dir(os.Getenv(envBinary)), "overlays")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", scratch, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %v", err)
	}
	for _, dir := range overlaid {
		upper := filepath.Join(scratch, strings.ReplaceAll(dir, "/", "_"), "upper")
		work := filepath.Join(scratch, strings.ReplaceAll(dir, "/", "_"), "work")
		for _, d := range []string{upper, work} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		options := "lowerdir=" + dir + ",upperdir=" + upper + ",workdir=" + work
		if err := syscall.Mount("overlay", dir, "overlay", 0, options); err != nil {
			return fmt.Errorf("mount an overlay on %s: %v", dir, err)
		}
	}
	return nil
}

// loopbackUp gives the new network namespace 127.0.0.1 and ::1.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return fmt.Errorf("read the flags of lo: %v", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring lo up: %v", err)
	}
	return nil
}

// missing skips, or fails under CI.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	fmt.Fprintf(os.Stderr, "e2e: %s skipped: %s\n", t.Name(), why)
	t.Skip(why)
}
