package atomicfile

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// content returns the regular files and links in dir: what they hold, or where
// they lead.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			found[e.Name()] = "folder"
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = "-> " + target
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = string(data)
		}
	}
	return found
}

func pair(dir string) []File {
	return []File{
		{filepath.Join(dir, "a.pem"), []byte("new a"), 0o644},
		{filepath.Join(dir, "a-key.pem"), []byte("new key"), 0o600},
	}
}

func TestAll(t *testing.T) {
	for op, put := range map[string]func([]File) error{"create": CreateAll, "replace": ReplaceAll} {
		t.Run(op, func(t *testing.T) {
			dir := t.TempDir()
			if err := put(pair(dir)); err != nil {
				t.Fatal(err)
			}
			if got, want := content(t, dir), map[string]string{"a.pem": "new a", "a-key.pem": "new key"}; !maps.Equal(got, want) {
				t.Errorf("folder holds %q, want %q", got, want)
			}
			for name, want := range map[string]fs.FileMode{"a.pem": 0o644, "a-key.pem": 0o600} {
				info, err := os.Stat(filepath.Join(dir, name))
				if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != want {
					t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
				}
			}
			if err := put(nil); err != nil {
				t.Errorf("no files: %v", err)
			}
		})
	}
}

func TestAllOrNone(t *testing.T) {
	file := func(t *testing.T, path string) {
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := func(t *testing.T, path string) {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Symlink(target, path); err != nil {
				t.Skip(err)
			}
		}
	}
	for _, tt := range []struct {
		what    string
		there   func(t *testing.T, path string)
		create  error // what the error of CreateAll matches, nil if there is none
		replace error
	}{
		{"file", file, fs.ErrExist, nil},
		{"folder", folder, fs.ErrExist, syscall.EISDIR},
		{"link to a file", link("target"), fs.ErrExist, nil},
		{"link to nothing", link("nothing"), fs.ErrExist, nil},
		{"link to a folder", link("."), fs.ErrExist, nil},
	} {
		for op, put := range map[string]func([]File) error{"create": CreateAll, "replace": ReplaceAll} {
			t.Run(op+"/"+tt.what, func(t *testing.T) {
				want := map[string]error{"create": tt.create, "replace": tt.replace}[op]
				dir := t.TempDir()
				file(t, filepath.Join(dir, "target"))
				last := filepath.Join(dir, "a-key.pem")
				tt.there(t, last)
				before := content(t, dir)
				err := put(pair(dir))
				if want == nil {
					if got := content(t, dir); err != nil || got["a-key.pem"] != "new key" || got["target"] != "old" || len(got) != 3 {
						t.Errorf("%v, folder holds %q", err, got)
					}
					return
				}
				e, ok := errors.AsType[*fs.PathError](err)
				if !ok || e.Path != last || !errors.Is(err, want) {
					t.Errorf("error = %v, want a PathError for %s and %v", err, last, want)
				}
				if got := content(t, dir); !maps.Equal(got, before) {
					t.Errorf("folder holds %q, want %q", got, before)
				}
			})
		}
	}
}

// TestAllTwice gives two files one path.
func TestAllTwice(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "self")); err != nil {
		t.Skip(err)
	}
	for _, second := range []string{"a", "./a", "self/a", "self/self/../a"} {
		for op, put := range map[string]func([]File) error{"create": CreateAll, "replace": ReplaceAll} {
			err := put([]File{
				{filepath.Join(dir, "a"), []byte("one"), 0o600},
				{dir + "/" + second, []byte("two"), 0o600},
			})
			if e, ok := errors.AsType[*fs.PathError](err); !ok || !strings.Contains(e.Error(), "twice") {
				t.Errorf("%s a and %s: %v, want that it is named twice", op, second, err)
			}
		}
	}
	if got := content(t, dir); len(got) != 1 {
		t.Errorf("folder holds %q, want the link alone", got)
	}
}

// TestAllFolderMissing has a second file that cannot be written.
func TestAllFolderMissing(t *testing.T) {
	dir := t.TempDir()
	files := append(pair(dir), File{filepath.Join(dir, "missing", "b"), nil, 0o600})
	for op, put := range map[string]func([]File) error{"create": CreateAll, "replace": ReplaceAll} {
		err := put(files)
		if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != files[2].Path || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want a PathError for %s", op, err, files[2].Path)
		}
	}
	if got := content(t, dir); len(got) > 0 {
		t.Errorf("folder holds %q, want nothing", got)
	}
}

// TestCreateAllTakesBack fails at the second name: another process has made it
// since CreateAll looked.
func TestCreateAllTakesBack(t *testing.T) {
	dir := t.TempDir()
	files := pair(dir)
	err := putAll("create", files, func(s *staged) error {
		if s.Path == files[1].Path {
			if err := os.WriteFile(s.Path, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return s.link(os.Link)
	})
	if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != files[1].Path || !errors.Is(err, fs.ErrExist) {
		t.Errorf("error = %v, want fs.ErrExist for %s", err, files[1].Path)
	}
	if got, want := content(t, dir), map[string]string{"a-key.pem": "theirs"}; !maps.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}

// TestTakeBackLeavesOthers replaces the first file before the second fails.
func TestTakeBackLeavesOthers(t *testing.T) {
	dir := t.TempDir()
	files := pair(dir)
	err := putAll("create", files, func(s *staged) error {
		if s.Path == files[0].Path {
			return s.link(os.Link)
		}
		if err := Replace(files[0].Path, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		return syscall.ENOSPC
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error = %v, want ENOSPC", err)
	}
	if got, want := content(t, dir), map[string]string{"a.pem": "theirs"}; !maps.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}

// TestWithoutHardLinks is on a file system that has none.
func TestWithoutHardLinks(t *testing.T) {
	none := func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
	}
	dir := t.TempDir()
	files := pair(dir)
	place := func(s *staged) error { return s.link(none) }
	if err := putAll("create", files, place); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.pem": "new a", "a-key.pem": "new key"}
	if got := content(t, dir); !maps.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
	if err := putAll("create", files, place); !errors.Is(err, fs.ErrExist) {
		t.Errorf("once more: %v, want fs.ErrExist", err)
	}

	// The second name is taken: the first goes.
	if err := os.Remove(files[0].Path); err != nil {
		t.Fatal(err)
	}
	if err := putAll("create", files, place); !errors.Is(err, fs.ErrExist) {
		t.Errorf("half of it: %v, want fs.ErrExist", err)
	}
	delete(want, "a.pem")
	if got := content(t, dir); !maps.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}
