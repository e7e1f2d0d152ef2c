package nssdb

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b", "it's ü%20?#")
	if runtime.GOOS == "windows" {
		dir = filepath.Join(t.TempDir(), "a b", "it's ü%20#")
	}
	if err := Create(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{certificateFile, keyFile, moduleFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %v, want 0600", name, got)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("the folder has %d entries, want 3: %v", len(entries), entries)
	}
	wantNothing(t, dir)
	before := snapshot(t, dir)
	if err := Create(t.Context(), dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v, want fs.ErrExist", err)
	}
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("second Create changed files")
	}
	root := newCA(t, "root", nil)
	mustAdd(t, dir, root)
	find(t, dir, root, true, true)
}

// A kill may leave the first one or two files, which stay.
func TestCreateCompletes(t *testing.T) {
	for _, missing := range [][]string{{certificateFile}, {certificateFile, moduleFile}} {
		dir := newDatabase(t)
		for _, name := range missing {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		before := snapshot(t, dir)
		if err := Create(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if after := snapshot(t, dir); after[keyFile] != before[keyFile] {
			t.Error("Create replaced key4.db")
		}
		root := newCA(t, "root", nil)
		mustAdd(t, dir, root)
		find(t, dir, root, true, true)
	}
}

func TestCreateBesideGarbage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	if err := Create(t.Context(), dir); !errors.Is(err, ErrNotDatabase) {
		t.Errorf("Create: %v, want ErrNotDatabase", err)
	}
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("files changed")
	}
}
