package issuer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"devproxy/internal/atomicfile"
)

func prepare(t *testing.T, dir string, domains ...string) *Pending {
	t.Helper()
	p, err := Prepare(t.Context(), dir, domains, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func checkRotating(t *testing.T, dir string, unfinished, running bool) {
	t.Helper()
	// Folders are locked on unix only.
	if u, r := Rotating(dir); u != unfinished || r != (running && lockable) {
		t.Errorf("Rotating: %v, %v; want %v, %v", u, r, unfinished, running && lockable)
	}
}

func checkFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if names, temporary := files(t, dir); !slices.Equal(names, want) || len(temporary) > 0 {
		t.Errorf("folder holds %q and %q, want %q", names, temporary, want)
	}
}

// TestPending walks a rotation: beside the old CA, in force, at its end.
func TestPending(t *testing.T) {
	dir, old := create(t, "a.example")
	checkRotating(t, dir, false, false)
	p := prepare(t, dir, "b.example")

	if !sameRoot(consistent(t, dir), old) || !sameRoot(p.Old(), old) {
		t.Error("preparing has changed what is in force")
	}
	if sameRoot(p.CA(), old) || p.CA().key.Equal(old.key) || p.Resumed() {
		t.Error("the new CA shares something with the old one")
	}
	want := append(slices.Clone(old.Constraints().DNS), "b.example")
	if got := p.CA().Constraints().DNS; !slices.Equal(got, want) {
		t.Errorf("constraints %q, want %q", got, want)
	}
	if got := string(readFile(t, p.RootPath())); got != string(p.CA().rootPEM()) {
		t.Errorf("%s holds %q, want the new root", p.RootPath(), got)
	}
	checkFiles(t, dir, pendingFile, caFile, pendingRootFile, rootFile)
	checkRotating(t, dir, true, true)

	ca, err := p.Commit()
	if err != nil || !sameRoot(ca, p.CA()) || !sameRoot(consistent(t, dir), ca) {
		t.Errorf("Commit: %v, want the new CA in force", err)
	}
	checkRotating(t, dir, true, true) // the old root may still be trusted
	p.Close()
	checkRotating(t, dir, false, false)
	checkFiles(t, dir, caFile, rootFile)
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	if !sameRoot(consistent(t, dir), ca) {
		t.Error("Discard after the end has changed the CA")
	}
}

func TestDiscard(t *testing.T) {
	dir, old := create(t)
	p := prepare(t, dir)
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	if !sameRoot(consistent(t, dir), old) {
		t.Error("the old CA is gone")
	}
	checkFiles(t, dir, caFile, rootFile)
	prepare(t, dir) // the lock is free
}

// TestResume: what an earlier process has left is taken over only if it is
// exactly what would be made.
func TestResume(t *testing.T) {
	dir, _ := create(t, "a.example")
	first := prepare(t, dir)
	first.Close()
	checkRotating(t, dir, true, false)

	again := prepare(t, dir)
	if !again.Resumed() || !sameRoot(again.CA(), first.CA()) {
		t.Error("the CA that was left has not been taken over")
	}
	again.Close()

	wider := prepare(t, dir, "b.example")
	if wider.Resumed() || len(wider.CA().Constraints().Missing([]string{"a.example", "b.example"})) > 0 {
		t.Error("a CA for fewer names has been taken over")
	}
	wider.Close()

	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{{-time.Hour, false}, {pendingAge - time.Hour, true}, {pendingAge + time.Hour, false}} {
		aged, err := newCA(NewConstraints([]string{"a.example"}), time.Now().Add(-tt.age))
		if err != nil {
			t.Fatal(err)
		}
		if err := atomicfile.Replace(filepath.Join(dir, pendingFile), encoded(t, aged), 0o600); err != nil {
			t.Fatal(err)
		}
		p := prepare(t, dir)
		if p.Resumed() != tt.want || sameRoot(p.CA(), aged) != tt.want {
			t.Errorf("made %v ago: taken over %v, want %v", tt.age, p.Resumed(), tt.want)
		}
		if got := string(readFile(t, p.RootPath())); got != string(p.CA().rootPEM()) {
			t.Error("the root beside it is another one's")
		}
		p.Close()
	}
}

// TestDamagedPending: nothing that lies in the place of the new CA is believed,
// or stands in the way, but a folder, which may be somebody's.
func TestDamagedPending(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.what, func(t *testing.T) {
			dir, old := create(t)
			left := prepare(t, dir)
			left.Close()
			path := filepath.Join(dir, pendingFile)
			if err := tt.spoil(t, path); err != nil {
				t.Skip(err)
			}
			p, err := Prepare(t.Context(), dir, nil, nil, nil)
			if tt.what == "folder" {
				if e, ok := errors.AsType[*Error](err); !ok || e.Path != path || e.Hint == "" {
					t.Errorf("error %v, want one about %s with a hint", err, path)
				}
				if !sameRoot(consistent(t, dir), old) {
					t.Error("the CA has changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if p.Resumed() || sameRoot(p.CA(), left.CA()) {
				t.Error("it was taken over")
			}
			if ca, err := p.Commit(); err != nil || !sameRoot(consistent(t, dir), ca) {
				t.Errorf("Commit: %v", err)
			}
			if strings.Contains(tt.what, "symbolic link") { // what it led to is not ours to change
				readFile(t, path+".old")
			}
		})
	}
}

// TestPendingWriteErrors: whatever cannot be written, the old CA stays in
// force, and nothing is left behind that was not there before.
func TestPendingWriteErrors(t *testing.T) {
	for _, cause := range []error{syscall.EROFS, syscall.ENOSPC, syscall.EACCES} {
		for _, name := range []string{pendingFile, pendingRootFile} {
			dir, old := create(t)
			s, err := newStore(dir)
			if err != nil {
				t.Fatal(err)
			}
			s.replace = func(path string, data []byte, perm fs.FileMode) error {
				if filepath.Base(path) == name {
					return &fs.PathError{Op: "open", Path: path, Err: cause}
				}
				return atomicfile.Replace(path, data, perm)
			}
			_, err = s.prepareCA(t.Context(), nil, nil, func() {})
			if want := `CA "` + filepath.Join(dir, name) + `": write: ` + cause.Error(); !errors.Is(err, cause) || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
			if !sameRoot(consistent(t, dir), old) {
				t.Error("the CA has changed")
			}
			checkFiles(t, dir, caFile, rootFile)
			prepare(t, dir)
		}

		dir, old := create(t)
		s, err := newStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		s.rename = func(from, to string) error { return &os.LinkError{Op: "rename", Old: from, New: to, Err: cause} }
		p, err := s.prepareCA(t.Context(), nil, nil, func() {})
		if err != nil {
			t.Fatal(err)
		}
		if ca, err := p.Commit(); ca != nil || !errors.Is(err, cause) {
			t.Errorf("Commit: %v, %v; want no CA and %v", ca, err, cause)
		}
		if err := p.Discard(); err != nil {
			t.Error(err)
		}
		if !sameRoot(consistent(t, dir), old) {
			t.Error("a failed Commit has changed the CA")
		}
		checkFiles(t, dir, caFile, rootFile)
	}
}

// TestCommitWithoutRootFile: the CA is in force though root.pem cannot be
// written, and the next start mends it.
func TestCommitWithoutRootFile(t *testing.T) {
	dir, _ := create(t)
	s, err := newStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.replace = func(path string, data []byte, perm fs.FileMode) error {
		if filepath.Base(path) == rootFile {
			return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOSPC}
		}
		return atomicfile.Replace(path, data, perm)
	}
	p, err := s.prepareCA(t.Context(), nil, nil, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ca, err := p.Commit()
	if ca == nil || !sameRoot(ca, p.CA()) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Commit: %v, %v; want the new CA and ENOSPC", ca, err)
	}
	if next, _, err := LoadOrCreate(dir, nil); err != nil || !sameRoot(next, ca) {
		t.Errorf("the next start: %v, want the new CA", err)
	}
	consistent(t, dir)
}

// TestOvertaken lets something else happen to the files between Prepare and
// Commit, as where folders cannot be locked.
func TestOvertaken(t *testing.T) {
	for _, tt := range []struct {
		what  string
		first bool // there is no CA at first
		do    func(t *testing.T, dir string) error
		want  bool // Commit goes ahead
	}{
		{"nothing", false, func(*testing.T, string) error { return nil }, true},
		{"the new CA is gone", false, func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, pendingFile)) }, false},
		{"the new CA is another", false, func(t *testing.T, dir string) error {
			return atomicfile.Replace(filepath.Join(dir, pendingFile), encoded(t, makeCA(t)), 0o600)
		}, false},
		{"a server made a CA for the same", true, func(_ *testing.T, dir string) error {
			_, _, err := LoadOrCreate(dir, []string{"a.example"})
			return err
		}, true},
		{"a server made a CA for more", true, func(_ *testing.T, dir string) error {
			_, _, err := LoadOrCreate(dir, []string{"b.example"})
			return err
		}, false},
		{"the CA in force is damaged", false, func(_ *testing.T, dir string) error { return os.Truncate(Path(dir), 9) }, true},
		{"the CA in force is gone", false, func(_ *testing.T, dir string) error { return os.Remove(Path(dir)) }, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := stateFolder(t)
			if !tt.first {
				dir, _ = create(t)
			}
			p := prepare(t, dir, "a.example")
			if (p.Old() == nil) != tt.first {
				t.Errorf("Old: %v", p.Old())
			}
			if err := tt.do(t, dir); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(Path(dir))
			ca, err := p.Commit()
			if tt.want {
				if err != nil || !sameRoot(consistent(t, dir), p.CA()) {
					t.Errorf("Commit: %v", err)
				}
				return
			}
			if e, ok := errors.AsType[*Error](err); !ok || ca != nil || !e.Rotate || e.Hint == "" {
				t.Errorf("Commit: %v, %v; want an *Error with a hint", ca, err)
			}
			if after := readFile(t, Path(dir)); !bytes.Equal(after, before) {
				t.Error("the CA in force has changed")
			}
		})
	}
}

func TestPrepareExpired(t *testing.T) {
	old, err := newCA(NewConstraints([]string{"a.example"}), time.Now().AddDate(-caYears, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, put(t, old))
	if p.Old() != nil || len(p.CA().Constraints().Missing([]string{"a.example"})) > 0 {
		t.Errorf("Old %v, constraints %q; want none, and the domain of the expired one", p.Old(), p.CA().Constraints().DNS)
	}
}
