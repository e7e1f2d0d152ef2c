package nssdb

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"testing"
	"time"
)

// childEnv makes a test binary a child that works on the database in the
// folder it names, in the way of childTaskEnv.
const (
	childEnv     = "DEVPROXY_TEST_NSSDB"
	childTaskEnv = "DEVPROXY_TEST_NSSDB_TASK"
)

// TestChild is no test, but what the children of other tests do.
func TestChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("only for children of other tests")
	}
	switch task := os.Getenv(childTaskEnv); task {
	case "add":
		for {
			addInTurn(t, dir, newCA(t, "child", nil))
			fmt.Println("ready")
		}
	default: // the statement that takes a lock
		err := within(t.Context(), dir, "rw", func(db *database) error {
			if _, err := db.conn.ExecContext(t.Context(), task); err != nil {
				return err
			}
			fmt.Println("ready")
			io.Copy(io.Discard, os.Stdin)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// startChild starts a child and waits until it has printed ready n times. stop
// kills it.
func startChild(t *testing.T, dir, task string, n int) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childTaskEnv+"="+task)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for range n {
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("the child says %q", lines.Text())
		}
	}
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
		stdin.Close()
	}
}

func TestLocked(t *testing.T) {
	for _, tt := range []struct {
		lock     string
		readable bool
	}{
		{"BEGIN IMMEDIATE", true},
		{"BEGIN EXCLUSIVE", false},
	} {
		t.Run(tt.lock, func(t *testing.T) {
			t.Parallel()
			dir := newDatabase(t)
			root := newCA(t, "root", nil)
			mustAdd(t, dir, root)
			stop := startChild(t, dir, tt.lock, 1)
			defer stop()

			start := time.Now()
			_, held, err := Find(t.Context(), dir, fingerprint(root))
			if tt.readable && (err != nil || !held) || !tt.readable && !errors.Is(err, ErrLocked) {
				t.Errorf("Find = %v, %v", held, err)
			}
			if !tt.readable {
				wantWait(t, start)
			} else {
				start = time.Now()
				if err := Add(t.Context(), dir, "new", newCA(t, "new", nil)); !errors.Is(err, ErrLocked) {
					t.Errorf("Add: %v, want ErrLocked", err)
				}
				wantWait(t, start)
			}

			start = time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := Delete(ctx, dir, fingerprint(root), nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Delete: %v, want the context's error", err)
			}
			if took := time.Since(start); took > LockWait/2 {
				t.Errorf("Delete ended %v after its context", took)
			}

			stop()
			find(t, dir, root, true, true)
			mustAdd(t, dir, newCA(t, "new", nil))
		})
	}
}

func wantWait(t *testing.T, start time.Time) {
	t.Helper()
	if took := time.Since(start); took < LockWait || took > LockWait+5*time.Second {
		t.Errorf("took %v, want about %v", took, LockWait)
	}
}

func TestCancelled(t *testing.T) {
	dir := newDatabase(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Find(ctx, dir, [32]byte{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Find: %v, want context.Canceled", err)
	}
	if err := Add(ctx, dir, "name", newCA(t, "root", nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("Add: %v, want context.Canceled", err)
	}
}

// After a kill with half a change on disk the files cannot be read without
// writing, but the next change mends them.
func TestInterrupted(t *testing.T) {
	dir := newDatabase(t)
	root := newCA(t, "root", nil)
	mustAdd(t, dir, root)
	startChild(t, dir, `PRAGMA main.cache_size = 1; BEGIN IMMEDIATE; UPDATE main.nssPublic SET a3 = 'torn';
		INSERT INTO main.nssPublic (id, a11) VALUES (1, zeroblob(500000)); INSERT INTO main.nssPublic (id, a11) VALUES (2, zeroblob(500000))`, 1)()
	before := snapshot(t, dir)
	if _, ok := before[certificateFile+"-journal"]; !ok {
		t.Fatal("the child left no journal")
	}
	if _, _, err := Find(t.Context(), dir, fingerprint(root)); !errors.Is(err, errInterrupted) {
		t.Errorf("Find: %v, want errInterrupted", err)
	}
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("reading changed files")
	}
	other := newCA(t, "other", nil)
	mustAdd(t, dir, other)
	find(t, dir, root, true, true)
	wantRoots(t, dir, root, other)
}

// A kill at any moment leaves certificates that are trusted, or none.
func TestKill(t *testing.T) {
	dir := newDatabase(t)
	const children = 12
	for n := range children {
		startChild(t, dir, "add", 1+n%3)()
	}
	last := newCA(t, "last", nil)
	mustAdd(t, dir, last) // rolls back what was under way
	var rows []object
	err := read(t.Context(), dir, func(db *database) (err error) {
		rows, err = db.objects(t.Context(), classCertificate, certificateAttributes)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []*x509.Certificate
	for _, o := range rows {
		cert, err := x509.ParseCertificate(o.attributes[attrValue])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cert)
	}
	if len(all) < children {
		t.Errorf("%d certificates, want at least one of each child", len(all))
	}
	wantRoots(t, dir, all...)
	for _, c := range all {
		if removed, err := Delete(t.Context(), dir, fingerprint(c), nil); err != nil || !removed {
			t.Errorf("Delete = %v, %v", removed, err)
		}
	}
	wantNothing(t, dir)
}

// TestProcesses has three processes add at the same time, two of them without a
// pause. Nothing that one was told is in the database is lost by another.
func TestProcesses(t *testing.T) {
	dir := newDatabase(t)
	stops := []func(){startChild(t, dir, "add", 1), startChild(t, dir, "add", 1)}
	roots := make([]*x509.Certificate, 3)
	for i := range roots {
		roots[i] = newCA(t, "root", nil)
		addInTurn(t, dir, roots[i])
	}
	for _, stop := range stops {
		stop()
	}
	mustAdd(t, dir, newCA(t, "last", nil))
	for _, root := range roots {
		find(t, dir, root, true, true)
	}
}

// addInTurn adds a root, again if it gets no turn within LockWait: SQLite has no
// queue, and on a busy machine whoever adds without a pause is the first at the
// lock time and again. Any other error fails the test.
func addInTurn(t *testing.T, dir string, root *x509.Certificate) {
	t.Helper()
	const turns = 20
	var err error
	for range turns {
		if err = Add(t.Context(), dir, "root "+root.SerialNumber.Text(16), root); !errors.Is(err, ErrLocked) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
