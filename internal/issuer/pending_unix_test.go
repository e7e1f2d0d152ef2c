//go:build unix

package issuer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"devproxy/internal/atomicfile"
)

const lockable = true

// killPoints are the moments at which TestRotationKilled kills a rotation:
// before or after one of its changes, or with half a file written.
var killPoints = []string{
	"half " + pendingFile, "after " + pendingFile,
	"half " + pendingRootFile, "after " + pendingRootFile,
	"before " + caFile, "after " + caFile,
	"half " + rootFile, "after " + rootFile,
}

// killAt returns a store that kills this process at point.
func killAt(s store, point string) store {
	die := func() {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it arrives
	}
	s.replace = func(path string, data []byte, perm fs.FileMode) error {
		name := filepath.Base(path)
		if point == "half "+name {
			os.WriteFile(filepath.Join(filepath.Dir(path), tempPrefix+"dead"), data[:len(data)/2], 0o600)
			die()
		}
		err := atomicfile.Replace(path, data, perm)
		if point == "after "+name {
			die()
		}
		return err
	}
	s.rename = func(from, to string) error {
		if point == "before "+filepath.Base(to) {
			die()
		}
		err := os.Rename(from, to)
		if point == "after "+filepath.Base(to) {
			die()
		}
		return err
	}
	return s
}

// TestRotationKilled kills a process at every step of a rotation: a CA is in
// force at once, the old or the new one, and the next rotation goes through.
func TestRotationKilled(t *testing.T) {
	const dirVar, pointVar = "DEVPROXY_TEST_KILLED_DIR", "DEVPROXY_TEST_KILLED_AT"
	if dir := os.Getenv(dirVar); dir != "" {
		s, err := newStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		killAt(s, os.Getenv(pointVar)).rotate([]string{"a.example"})
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range killPoints {
		t.Run(point, func(t *testing.T) {
			dir, old := create(t, "a.example")
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestRotationKilled$")
			cmd.Env = append(os.Environ(), dirVar+"="+dir, pointVar+"="+point)
			out, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the process ended with %v, want it killed:\n%s", err, out)
			}

			inForce, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			committed := !sameRoot(inForce, old)
			if want := point == "after "+caFile || point == "half "+rootFile || point == "after "+rootFile; committed != want {
				t.Errorf("the new CA is in force: %v, want %v", committed, want)
			}
			checkRotating(t, dir, point != "half "+pendingFile, false) // nor is the lock held
			next, created, err := LoadOrCreate(dir, nil)
			if err != nil || created || !sameRoot(next, inForce) || !sameRoot(consistent(t, dir), inForce) {
				t.Errorf("the next start: created %v, %v; want what was in force", created, err)
			}

			// What was prepared as a whole, and may be trusted by now, is used.
			p := prepare(t, dir, "a.example")
			if want := !committed && point != "half "+pendingFile; p.Resumed() != want {
				t.Errorf("taken over: %v, want %v", p.Resumed(), want)
			}
			ca, err := p.Commit()
			p.Close()
			if err != nil || sameRoot(ca, inForce) || !sameRoot(consistent(t, dir), ca) {
				t.Errorf("the next rotation: %v", err)
			}
			checkRotating(t, dir, false, false)
		})
	}
}

// TestRotationsTakeTurns: a second rotation waits for the first, in this
// process or another, says so, and can be called off.
func TestRotationsTakeTurns(t *testing.T) {
	dir, _ := create(t)
	first := prepare(t, dir)

	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	_, err := Prepare(ctx, dir, nil, nil, func() { told++; cancel() })
	if !errors.Is(err, context.Canceled) || told != 1 {
		t.Errorf("called off: %v after being told %d times, want canceled after 1", err, told)
	}

	waits := make(chan struct{})
	second := make(chan *Pending)
	go func() {
		p, err := Prepare(t.Context(), dir, nil, nil, func() { close(waits) })
		if err != nil {
			t.Error(err)
		}
		second <- p
	}()
	<-waits
	ca, err := first.Commit()
	if err != nil {
		t.Error(err)
	}
	first.Close()
	if p := <-second; p != nil {
		defer p.Close()
		if !sameRoot(p.Old(), ca) || p.Resumed() {
			t.Error("the second rotation does not begin where the first ended")
		}
	}
	// Those who serve do not wait.
	if _, created, err := LoadOrCreate(dir, nil); err != nil || created {
		t.Errorf("LoadOrCreate: created %v, %v", created, err)
	}
}

// TestSomebodyElsesPending: a file that another user could have written is not
// taken over.
func TestSomebodyElsesPending(t *testing.T) {
	if !asRoot(t) {
		return
	}
	dir, _ := create(t)
	left := prepare(t, dir)
	left.Close()
	path := filepath.Join(dir, pendingFile)
	if err := os.Chown(path, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, dir)
	if p.Resumed() || sameRoot(p.CA(), left.CA()) {
		t.Error("it was taken over")
	}
	p.Close()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if again := prepare(t, dir); again.Resumed() {
		t.Error("a key that everyone can read was taken over")
	}
}

func TestPendingModes(t *testing.T) {
	dir, _ := create(t)
	// No test of this package runs beside another one.
	old := syscall.Umask(0)
	p, err := Prepare(t.Context(), dir, nil, nil, nil)
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for path, want := range map[string]fs.FileMode{p.path(pendingFile): 0o600, p.RootPath(): 0o644} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", filepath.Base(path), info.Mode(), err, want)
		}
	}
}
