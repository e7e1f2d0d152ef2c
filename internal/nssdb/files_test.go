package nssdb

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestBadFiles(t *testing.T) {
	root := newCA(t, "root", nil)
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string) error
		want  error
	}{
		{"missing", func(t *testing.T, path string) error { return os.Remove(path) }, fs.ErrNotExist},
		{"garbage", overwrite(bytes.Repeat([]byte("garbage "), 1000)), ErrNotDatabase},
		{"zeros", overwrite(make([]byte, 8192)), ErrNotDatabase},
		{"empty", overwrite(nil), ErrNotDatabase},
		{"header only", overwrite([]byte("SQLite format 3\x00")), ErrNotDatabase},
		{"folder", func(t *testing.T, path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}, ErrNotDatabase},
		{"dangling link", func(t *testing.T, path string) error {
			return errors.Join(os.Remove(path), os.Symlink(path+".gone", path))
		}, fs.ErrNotExist},
		{"huge", func(t *testing.T, path string) error {
			return errors.Join(os.Truncate(path, 0), os.Truncate(path, 1<<33))
		}, ErrNotDatabase},
		{"truncated", func(t *testing.T, path string) error { return os.Truncate(path, 5000) }, ErrNotDatabase},
		{"other tables", func(t *testing.T, path string) error {
			data, err := image(t.Context(), []string{"CREATE TABLE t (a)"})
			return errors.Join(err, os.WriteFile(path, data, 0o600))
		}, ErrNotDatabase},
		{"few columns", func(t *testing.T, path string) error {
			data, err := image(t.Context(), []string{"CREATE TABLE nssPublic (id, a0)"})
			return errors.Join(err, os.WriteFile(path, data, 0o600))
		}, ErrNotDatabase},
	}
	for _, name := range []string{certificateFile, keyFile} {
		for _, tt := range tests {
			if name == keyFile && tt.want == fs.ErrNotExist {
				continue // TestMissingKeys
			}
			if tt.name == "dangling link" && runtime.GOOS == "windows" {
				continue // links need a privilege
			}
			t.Run(name+" "+tt.name, func(t *testing.T) {
				dir := newDatabase(t)
				mustAdd(t, dir, root)
				if err := tt.spoil(t, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				before := snapshot(t, dir)
				_, _, err := Find(t.Context(), dir, fingerprint(root))
				check := func(call string, err error) {
					if !errors.Is(err, tt.want) {
						t.Errorf("%s: %v, want %v", call, err, tt.want)
					}
				}
				check("Find", err)
				_, err = Roots(t.Context(), dir)
				check("Roots", err)
				_, err = Unused(t.Context(), dir)
				check("Empty", err)
				_, err = Delete(t.Context(), dir, fingerprint(root), root)
				check("Delete", err)
				check("Add", Add(t.Context(), dir, "new", newCA(t, "new", nil)))
				if !maps.Equal(snapshot(t, dir), before) {
					t.Error("files changed")
				}
			})
		}
	}
}

func overwrite(data []byte) func(*testing.T, string) error {
	return func(_ *testing.T, path string) error { return os.WriteFile(path, data, 0o600) }
}

func TestSymlink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege on Windows")
	}
	dir := newDatabase(t)
	elsewhere := filepath.Join(t.TempDir(), "real.db")
	path := filepath.Join(dir, certificateFile)
	if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
		t.Fatal(err)
	}
	root := newCA(t, "root", nil)
	mustAdd(t, dir, root)
	find(t, dir, root, true, true)
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
}
