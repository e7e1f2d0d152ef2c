package issuer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"devproxy/internal/atomicfile"
)

func TestOneCreator(t *testing.T) {
	dir := stateFolder(t)
	var created atomic.Int32
	cas := make([]*CA, 8)
	var wg sync.WaitGroup
	for n := range cas {
		wg.Go(func() {
			ca, mine, err := LoadOrCreate(dir, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if mine {
				created.Add(1)
			}
			cas[n] = ca
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if created.Load() != 1 {
		t.Errorf("%d callers created the CA, want 1", created.Load())
	}
	last := consistent(t, dir)
	for _, ca := range cas {
		if !sameRoot(ca, last) {
			t.Error("a caller got another root")
		}
	}
	if names, temporary := files(t, dir); !slices.Equal(names, []string{caFile, rootFile}) || len(temporary) > 0 {
		t.Errorf("folder holds %q and %q", names, temporary)
	}
}

// TestKilled lets a process die at every step of creation, and another one take
// over. Rotation is in TestRotationKilled.
func TestKilled(t *testing.T) {
	type write = func(string, []byte, fs.FileMode) error
	type killed struct{}
	half := func(path string, data []byte, _ fs.FileMode) error {
		temp := filepath.Join(filepath.Dir(path), tempPrefix+"dead")
		if err := os.WriteFile(temp, data[:len(data)/2], 0o600); err != nil {
			t.Error(err)
		}
		panic(killed{})
	}
	linked := func(path string, data []byte, _ fs.FileMode) error {
		temp := filepath.Join(filepath.Dir(path), tempPrefix+"dead")
		if err := errors.Join(os.WriteFile(temp, data, 0o600), os.Link(temp, path)); err != nil {
			t.Error(err)
		}
		panic(killed{})
	}
	after := func(w write) write {
		return func(path string, data []byte, perm fs.FileMode) error {
			if err := w(path, data, perm); err != nil {
				t.Error(err)
			}
			panic(killed{})
		}
	}
	for _, tt := range []struct {
		what            string
		create, replace write
	}{
		{"ca.pem half written", half, nil},
		{"ca.pem linked, not yet unlinked", linked, nil},
		{"ca.pem written", after(atomicfile.Create), nil},
		{"root.pem half written", nil, half},
		{"root.pem written", nil, after(atomicfile.Replace)},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := stateFolder(t)
			s, err := newStore(dir)
			if err != nil {
				t.Fatal(err)
			}
			if tt.create != nil {
				s.create = tt.create
			}
			if tt.replace != nil {
				s.replace = tt.replace
			}
			func() {
				defer func() {
					if r := recover(); r != (killed{}) {
						t.Fatalf("recovered %v", r)
					}
				}()
				s.loadOrCreate(nil)
			}()

			survivor, err := Load(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("half a CA was left behind: %v", err)
			}
			next, created, err := LoadOrCreate(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if survivor != nil && (created || !sameRoot(next, survivor)) {
				t.Error("the CA that was in place has been replaced")
			}
			if !sameRoot(consistent(t, dir), next) {
				t.Error("the next start has another root")
			}

			// What the dead left is removed once it is old enough.
			_, temporary := files(t, dir)
			past := time.Now().Add(-time.Hour)
			for _, name := range temporary {
				if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
					t.Fatal(err)
				}
			}
			if again, _, err := LoadOrCreate(dir, nil); err != nil || !sameRoot(again, next) {
				t.Errorf("after the left-overs grew old: %v", err)
			}
			if _, temporary := files(t, dir); len(temporary) > 0 {
				t.Errorf("left over: %q", temporary)
			}
		})
	}
}

// TestRotateBeforeRootFile lets another process rotate between this one's
// reading of ca.pem and its writing of root.pem.
func TestRotateBeforeRootFile(t *testing.T) {
	dir, old := create(t)
	if err := os.Remove(RootPath(dir)); err != nil {
		t.Fatal(err)
	}
	s, err := newStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	var other *CA
	s.replace = func(path string, data []byte, perm fs.FileMode) error {
		if other == nil {
			if other, err = Rotate(dir, nil); err != nil {
				return err
			}
		}
		return atomicfile.Replace(path, data, perm)
	}
	ca, created, err := s.loadOrCreate(nil)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	if sameRoot(ca, old) || !sameRoot(ca, other) || !sameRoot(consistent(t, dir), other) {
		t.Error("the CA of the other process is not what is left and returned")
	}
}

func TestRotateConcurrently(t *testing.T) {
	dir, _ := create(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if _, err := Rotate(dir, nil); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				if _, created, err := LoadOrCreate(dir, nil); err != nil || created {
					t.Errorf("created %v, %v", created, err)
				}
				if _, err := Load(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	consistent(t, dir)
	if names, temporary := files(t, dir); !slices.Equal(names, []string{caFile, rootFile}) || len(temporary) > 0 {
		t.Errorf("folder holds %q and %q", names, temporary)
	}
}
