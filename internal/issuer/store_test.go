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
)

// create makes a CA in a new folder.
func create(t testing.TB, domains ...string) (dir string, ca *CA) {
	t.Helper()
	dir = stateFolder(t)
	ca, created, err := LoadOrCreate(dir, domains)
	if err != nil || !created {
		t.Fatalf("LoadOrCreate: created %v, %v", created, err)
	}
	return dir, ca
}

// consistent fails the test unless dir holds a CA and its root.pem, and returns
// the CA.
func consistent(t testing.TB, dir string) *CA {
	t.Helper()
	ca, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, RootPath(dir)); !bytes.Equal(got, ca.rootPEM()) {
		t.Error("root.pem is not the root of ca.pem")
	}
	return ca
}

// files returns the names in dir, except for temporary files.
func files(t testing.TB, dir string) (names, temporary []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			temporary = append(temporary, e.Name())
		} else {
			names = append(names, e.Name())
		}
	}
	return names, temporary
}

func sameRoot(a, b *CA) bool { return a.Root().Equal(b.Root()) }

func TestLoadOrCreate(t *testing.T) {
	dir := stateFolder(t)
	if ca, err := Load(dir); ca != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load before creation: %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Load has made the folder")
	}
	first, created, err := LoadOrCreate(dir, []string{"shop.example.dev"})
	if err != nil || !created {
		t.Fatalf("created %v, %v; want true", created, err)
	}
	if missing := first.Constraints().Missing([]string{"shop.example.dev", "test"}); len(missing) > 0 {
		t.Errorf("the constraints miss %q", missing)
	}
	second, created, err := LoadOrCreate(dir, []string{"other.example.dev"})
	if err != nil || created || !sameRoot(first, second) {
		t.Errorf("second time: created %v, %v, same root %v", created, err, err == nil && sameRoot(first, second))
	}
	if got := second.Constraints().Missing([]string{"other.example.dev"}); len(got) != 1 {
		t.Error("a CA that was there has changed its constraints")
	}
	if ca := consistent(t, dir); !sameRoot(ca, first) {
		t.Error("Load returns another root")
	}
	if names, temporary := files(t, dir); !slices.Equal(names, []string{caFile, rootFile}) || len(temporary) > 0 {
		t.Errorf("folder holds %q and %q", names, temporary)
	}
	// What was created can be used.
	i, _ := makeIssuer(t, second, nil)
	if err := verify(first, ask(t, i, "a.shop.example.dev"), "a.shop.example.dev"); err != nil {
		t.Error(err)
	}
}

func TestNoRootKeyOnDisk(t *testing.T) {
	dir, ca := create(t)
	names, _ := files(t, dir)
	for _, name := range names {
		keys := bytes.Count(readFile(t, filepath.Join(dir, name)), []byte("BEGIN PRIVATE KEY"))
		if want := map[string]int{caFile: 1, rootFile: 0}[name]; keys != want {
			t.Errorf("%s holds %d keys, want %d", name, keys, want)
		}
	}
	if ca.key.PublicKey.Equal(ca.Root().PublicKey) {
		t.Error("the key that is kept is the root's")
	}
}

func TestRootFileIsDerived(t *testing.T) {
	dir, ca := create(t)
	path := RootPath(dir)
	for what, spoil := range map[string]func() error{
		"missing":   func() error { return os.Remove(path) },
		"empty":     func() error { return os.Truncate(path, 0) },
		"another":   func() error { return os.WriteFile(path, makeCA(t).rootPEM(), 0o644) },
		"a symlink": func() error { return errors.Join(os.Rename(path, path+".old"), os.Symlink(path+".old", path)) },
	} {
		t.Run(what, func(t *testing.T) {
			if err := spoil(); err != nil {
				t.Skip(err)
			}
			before, _ := files(t, dir)
			if _, err := Load(dir); err != nil {
				t.Error(err)
			}
			if after, _ := files(t, dir); !slices.Equal(before, after) {
				t.Error("Load has written something")
			}
			if _, _, err := LoadOrCreate(dir, nil); err != nil {
				t.Fatal(err)
			}
			if !sameRoot(consistent(t, dir), ca) {
				t.Error("the CA has changed")
			}
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("root.pem: %v, %v; want a regular file", info.Mode(), err)
			}
		})
	}
}

// TestNothingIsWritten: an existing CA can be used from a folder that cannot be
// written.
func TestNothingIsWritten(t *testing.T) {
	dir, want := create(t)
	s := faulty(t, dir, syscall.EROFS)
	got, created, err := s.loadOrCreate(nil)
	if err != nil || created || !sameRoot(got, want) {
		t.Errorf("created %v, %v; want the CA as it is", created, err)
	}
}

// faulty returns a store in which every write fails.
func faulty(t *testing.T, dir string, cause error) store {
	t.Helper()
	s, err := newStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.create = func(path string, _ []byte, _ fs.FileMode) error {
		return &fs.PathError{Op: "open", Path: path, Err: cause}
	}
	s.replace = s.create
	return s
}

func TestWriteErrors(t *testing.T) {
	for _, cause := range []error{syscall.EROFS, syscall.ENOSPC, syscall.EACCES} {
		dir := stateFolder(t)
		_, created, err := faulty(t, dir, cause).loadOrCreate(nil)
		if created || !errors.Is(err, cause) {
			t.Errorf("%v: created %v, error %v", cause, created, err)
			continue
		}
		want := `CA "` + Path(dir) + `": write: ` + cause.Error()
		if err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		if names, temporary := files(t, dir); len(names)+len(temporary) > 0 {
			t.Errorf("%v: left behind %q %q", cause, names, temporary)
		}

		dir, ca := create(t)
		if _, err := faulty(t, dir, cause).rotate(nil); !errors.Is(err, cause) {
			t.Errorf("rotate: %v, want %v", err, cause)
		}
		if !sameRoot(consistent(t, dir), ca) {
			t.Errorf("%v: a failed rotation has changed the CA", cause)
		}
	}
}

func TestNoHardLinks(t *testing.T) {
	for _, cause := range []error{syscall.EPERM, errors.ErrUnsupported} {
		s, err := newStore(stateFolder(t))
		if err != nil {
			t.Fatal(err)
		}
		s.create = func(path string, _ []byte, _ fs.FileMode) error {
			return &os.LinkError{Op: "link", Old: "temp", New: path, Err: cause}
		}
		_, _, err = s.loadOrCreate(nil)
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(e.Error(), "no hard links") || e.Hint == "" || e.Rotate {
			t.Errorf("%v: error %v, want one about hard links with a hint", cause, err)
		}
	}
}

func TestNoFolder(t *testing.T) {
	occupied := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", occupied, filepath.Join(occupied, "below")} {
		_, loadErr := Load(dir)
		_, _, createErr := LoadOrCreate(dir, nil)
		_, rotateErr := Rotate(dir, nil)
		for _, err := range []error{loadErr, createErr, rotateErr} {
			if e, ok := errors.AsType[*Error](err); !ok || e.Rotate {
				t.Errorf("%q: %v, want an *Error that rotation does not mend", dir, err)
			}
		}
	}
}

func TestRotate(t *testing.T) {
	dir, old := create(t, "a.example")
	ca, err := Rotate(dir, []string{"b.example", "shop.localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if sameRoot(ca, old) || ca.Root().Subject.String() == old.Root().Subject.String() || ca.key.Equal(old.key) {
		t.Error("the new CA shares something with the old one")
	}
	want := append(slices.Clone(old.Constraints().DNS), "b.example")
	if got := ca.Constraints().DNS; !slices.Equal(got, want) {
		t.Errorf("constraints %q, want %q", got, want)
	}
	if !sameRoot(consistent(t, dir), ca) {
		t.Error("Load returns another CA")
	}
	if names, _ := files(t, dir); !slices.Equal(names, []string{caFile, rootFile}) {
		t.Errorf("folder holds %q", names)
	}

	dir = stateFolder(t)
	if ca, err = Rotate(dir, []string{"b.example"}); err != nil {
		t.Fatalf("without a CA: %v", err)
	}
	if !sameRoot(consistent(t, dir), ca) || len(ca.Constraints().Missing([]string{"b.example"})) > 0 {
		t.Error("without a CA: not the one that was asked for")
	}
}

func TestBadDomainMakesNoCA(t *testing.T) {
	dir := stateFolder(t)
	for _, domains := range [][]string{{""}, {"*.example"}, {"Example"}, manyDomains()} {
		if _, _, err := LoadOrCreate(dir, domains); err == nil {
			t.Fatalf("made a CA for %.40q", domains)
		}
	}
	if names, temporary := files(t, dir); len(names)+len(temporary) > 0 {
		t.Errorf("left behind %q %q", names, temporary)
	}
}

// manyDomains returns more than fit into the largest file that is read.
func manyDomains() []string {
	var domains []string
	for n := range 200 {
		domains = append(domains, strings.Repeat("a", n/26+1)+string(rune('a'+n%26))+"."+strings.Repeat(strings.Repeat("x", 60)+".", 3)+"example")
	}
	return domains
}

// BenchmarkLoadOrCreate is what a start with an existing CA costs.
func BenchmarkLoadOrCreate(b *testing.B) {
	dir, _ := create(b)
	for b.Loop() {
		if _, _, err := LoadOrCreate(dir, nil); err != nil {
			b.Fatal(err)
		}
	}
}
