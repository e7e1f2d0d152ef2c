package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A fileState is what must not change about a file.
type fileState struct {
	mode    os.FileMode
	uid     uint32
	content string
}

func stateOf(t *testing.T, path string) fileState {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	p := fileState{mode: info.Mode(), uid: info.Sys().(*syscall.Stat_t).Uid}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		p.content, err = os.Readlink(path)
	case info.Mode().IsRegular():
		var data []byte
		data, err = os.ReadFile(path)
		p.content = string(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestBadCA damages ca.pem. No command uses it, repairs it or replaces it
// unasked, each says what to do, and that works.
func TestBadCA(t *testing.T) {
	replace := func(change func([]byte) []byte) func(string) error {
		return func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, change(data), 0o600)
		}
	}
	for _, tt := range []struct {
		name, want string
		damage     func(path string) error
	}{
		{"unreadable", "permission denied", func(path string) error { return os.Chmod(path, 0) }},
		{"for a group", "open to others (mode 0640)", func(path string) error { return os.Chmod(path, 0o640) }},
		{"for everyone", "open to others (mode 0604)", func(path string) error { return os.Chmod(path, 0o604) }},
		{"of another user", "belongs to user 0", func(path string) error { return os.Chown(path, 0, 0) }},
		{"empty", "the file ends before it", replace(func([]byte) []byte { return nil })},
		{"cut off in the root", "truncated", replace(func(d []byte) []byte { return d[:300] })},
		{"cut off before the key", "the key: ", replace(func(d []byte) []byte { return d[:bytes.LastIndex(d, []byte("-----BEGIN"))] })},
		{"one byte less", "the key: ", replace(func(d []byte) []byte { return d[:len(d)-1] })},
		{"garbage", "truncated or not PEM", replace(func(d []byte) []byte { rand.Read(d); return d })},
		{"two", "after the key", replace(func(d []byte) []byte { return append(d, d...) })},
		{"huge", "larger than", replace(func(d []byte) []byte { return bytes.Repeat(d, 1000) })},
		{"a link", "symbolic link", func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		}},
		{"a link to nothing", "symbolic link", func(path string) error {
			return errors.Join(os.Remove(path), os.Symlink("/nonexistent", path))
		}},
		{"a folder", "not a regular file", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }},
		{"a pipe", "not a regular file", func(path string) error {
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600), os.Chown(path, nobodysUID, nobodysUID))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newUser(t)
			h.write(t, "devproxy.toml", head+`routes."hello.localhost" = "builtin:hello"`)
			h.devproxy(t, "ca", "rotate").must(t, 0)
			if err := tt.damage(h.caFile()); err != nil {
				t.Fatal(err)
			}
			before, names := stateOf(t, h.caFile()), entries(h.state())
			for _, args := range [][]string{{"serve"}, {"check"}, {"routes"}, {"ca", "show"}, {"ca", "path"}, {"trust", "--user"}} {
				h.devproxy(t, args...).refused(t, 1, h.caFile(), tt.want)
			}
			if after := stateOf(t, h.caFile()); after != before {
				t.Errorf("the file changed from %+v to %+v", before, after)
			}
			if now := entries(h.state()); fmt.Sprint(now) != fmt.Sprint(names) {
				t.Errorf("the folder holds %v now, and %v before", now, names)
			}
			// The way out that the hint names.
			h.devproxy(t, "ca", "rotate").must(t, 0)
			h.consistent(t, nil)
		})
	}
}

// TestBadStateFolder has a state folder that is not private, or that nothing
// can be written to.
func TestBadStateFolder(t *testing.T) {
	const config = head + `routes."hello.localhost" = "builtin:hello"`
	for _, tt := range []struct {
		name   string
		change func(h *home) error
		want   string
	}{
		{"open to others", func(h *home) error { return os.Chmod(h.state(), 0o750) }, "open to others (mode 0750)"},
		{"of another user", func(h *home) error { return os.Chown(h.state(), 0, 0) }, "belongs to user 0"},
		{"below a folder for all", func(h *home) error { return os.Chmod(filepath.Dir(h.state()), 0o777) }, "every user"},
		{"read-only", func(h *home) error {
			return errors.Join(os.Remove(h.caFile()), os.Remove(h.rootFile()), os.Chmod(h.state(), 0o500))
		}, "permission denied"},
		{"missing, read-only parent", func(h *home) error {
			return errors.Join(os.RemoveAll(h.state()), os.Chmod(filepath.Dir(h.state()), 0o555))
		}, "permission denied"},
		{"a file", func(h *home) error {
			return errors.Join(os.RemoveAll(h.state()), os.WriteFile(h.state(), nil, 0o600))
		}, "not a folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newUser(t)
			h.write(t, "devproxy.toml", config)
			h.devproxy(t, "ca", "rotate").must(t, 0)
			if err := tt.change(h); err != nil {
				t.Fatal(err)
			}
			h.devproxy(t, "serve").refused(t, 1, filepath.Dir(h.state()), tt.want)
		})
	}

	// Nothing needs to be written: devproxy serves.
	t.Run("read-only with a CA", func(t *testing.T) {
		h := newUser(t)
		h.write(t, "devproxy.toml", config)
		h.devproxy(t, "ca", "rotate").must(t, 0)
		ca := readIf(t, h.caFile())
		mount(t, "tmpfs", h.state(), "mode=0700,uid=54321,gid=54321")
		if err := errors.Join(os.WriteFile(h.caFile(), ca, 0o600), os.Chown(h.caFile(), nobodysUID, nobodysUID)); err != nil {
			t.Fatal(err)
		}
		h.devproxy(t, "ca", "show").must(t, 0)
		h.consistent(t, ca) // writes root.pem
		remountReadOnly(t, h.state())
		h.consistent(t, ca)
		h.devproxy(t, "ca", "rotate").refused(t, 1, "read-only file system")
		h.consistent(t, ca)
	})
}

func mount(t *testing.T, kind, at, options string) {
	t.Helper()
	if err := unix.Mount(kind, at, kind, 0, options); err != nil {
		t.Fatalf("mount a %s: %v", kind, err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
}

func remountReadOnly(t *testing.T, at string) {
	t.Helper()
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("make %s read-only: %v", at, err)
	}
}

// TestFullDisk keeps the state on a small disk that is full.
func TestFullDisk(t *testing.T) {
	h := newUser(t)
	h.write(t, "devproxy.toml", head+`routes."hello.localhost" = "builtin:hello"`)
	if err := os.MkdirAll(h.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir := h.state(); dir != h.dir; dir = filepath.Dir(dir) {
		if err := os.Chown(dir, nobodysUID, nobodysUID); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, "tmpfs", h.state(), "size=64k,mode=0700,uid=54321,gid=54321")
	filler := filepath.Join(h.state(), "filler")
	fill := func() {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
	}

	fill()
	h.devproxy(t, "serve").refused(t, 1, h.state(), "no space left")
	h.devproxy(t, "ca", "rotate").refused(t, 1, h.state(), "no space left")
	if names := entries(h.state()); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	ca := h.consistent(t, nil)
	fill()
	h.consistent(t, ca) // serving writes nothing
	h.devproxy(t, "ca", "rotate").refused(t, 1, h.state(), "no space left")
	h.consistent(t, ca)
	if names := entries(h.state()); len(names) != 3 {
		t.Errorf("the folder holds %v, want ca.pem, root.pem and the filler", names)
	}
}
