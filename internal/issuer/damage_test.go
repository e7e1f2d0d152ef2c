package issuer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devproxy/internal/atomicfile"
)

// put writes ca as the CA of a new folder, whatever it is worth.
func put(t *testing.T, ca *CA) (dir string) {
	t.Helper()
	dir, _ = create(t)
	if err := atomicfile.Replace(Path(dir), encoded(t, ca), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTimeOfCA(t *testing.T) {
	for _, tt := range []struct {
		now  time.Time
		want string // "" if it is accepted
	}{
		{time.Now().AddDate(-10, 0, -1), "the CA expired on "},
		{time.Now().AddDate(-10, 0, 1), ""},
		{time.Now().Add(47 * time.Hour), ""},
		{time.Now().Add(49 * time.Hour), "the CA is not valid before "},
	} {
		old, err := newCA(NewConstraints([]string{"a.example"}), tt.now)
		if err != nil {
			t.Fatal(err)
		}
		dir := put(t, old)
		_, err = Load(dir)
		if tt.want == "" {
			if err != nil {
				t.Errorf("made on %v: %v", tt.now, err)
			}
			continue
		}
		if e, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(e.Problem, tt.want) || !e.Rotate || e.Hint == "" {
			t.Errorf("made on %v: %v, want %q, which rotation mends", tt.now, err, tt.want)
		}
		ca, err := Rotate(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(ca.Constraints().Missing([]string{"a.example"})) > 0 {
			t.Error("rotation has lost a domain")
		}
		if names, _ := files(t, dir); len(names) != 2 {
			t.Errorf("folder holds %q", names)
		}
	}
}

// refusals are ways to spoil a ca.pem that hold on every system.
var refusals = []struct {
	what  string
	spoil func(t *testing.T, path string) error
	want  string
}{
	{"empty", func(_ *testing.T, path string) error { return os.Truncate(path, 0) }, "the root: missing"},
	{"truncated", func(_ *testing.T, path string) error { return os.Truncate(path, 1500) }, "truncated"},
	{"garbage", func(_ *testing.T, path string) error {
		return os.WriteFile(path, bytes.Repeat([]byte{0, 0xfe}, 999), 0o600)
	}, "not PEM"},
	{"trailing data", func(t *testing.T, path string) error {
		return os.WriteFile(path, append(readFile(t, path), "more"...), 0o600)
	}, "something after the key"},
	{"too large", func(t *testing.T, path string) error {
		return os.WriteFile(path, append(readFile(t, path), make([]byte, maxFile)...), 0o600)
	}, "larger than 64 KiB"},
	{"unconstrained", func(t *testing.T, path string) error {
		free := forger{root: unconstrained, intermediate: unconstrained}
		return os.WriteFile(path, encoded(t, free.make(t)), 0o600)
	}, "the root has no name constraints"},
	{"symbolic link", func(_ *testing.T, path string) error {
		return errors.Join(os.Rename(path, path+".old"), os.Symlink(path+".old", path))
	}, "is a symbolic link"},
	{"dangling link", func(_ *testing.T, path string) error {
		return errors.Join(os.Remove(path), os.Symlink("nowhere", path))
	}, "is a symbolic link"},
	{"folder", func(_ *testing.T, path string) error {
		return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
	}, "is not a regular file"},
}

func TestDamagedCA(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.what, func(t *testing.T) {
			dir, old := create(t, "a.example")
			path := Path(dir)
			if err := tt.spoil(t, path); err != nil {
				t.Skip(err)
			}
			before := fingerprint(t, path)
			_, loadErr := Load(dir)
			_, _, createErr := LoadOrCreate(dir, nil)
			for _, err := range []error{loadErr, createErr} {
				e, ok := errors.AsType[*Error](err)
				if !ok || !strings.Contains(e.Problem, tt.want) || e.Path != path || !e.Rotate || e.Hint == "" {
					t.Errorf("error %v, want one with %q that rotation mends", err, tt.want)
				}
			}
			if after := fingerprint(t, path); after != before {
				t.Fatalf("what was there has changed from %q to %q", before, after)
			}

			// Rotation is the way out, and loses nothing.
			ca, err := Rotate(dir, []string{"b.example"})
			if err != nil {
				t.Fatal(err)
			}
			if !sameRoot(consistent(t, dir), ca) || sameRoot(ca, old) {
				t.Error("not a new CA")
			}
			if got, want := ca.Constraints().DNS, NewConstraints([]string{"b.example"}).DNS; !slices.Equal(got, want) {
				t.Errorf("constraints %q, want %q", got, want)
			}
			aside, err := filepath.Glob(path + ".bad-*")
			if err != nil || len(aside) != 1 || fingerprint(t, aside[0]) != before {
				t.Errorf("kept aside: %q, want the file as it was", aside)
			}
		})
	}
}

// fingerprint returns what is at path itself.
func fingerprint(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	what := info.Mode().Type().String() + " "
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		what += target
	case info.Mode().IsRegular():
		what += string(readFile(t, path))
	}
	return what
}
