//go:build unix

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestChild is what the tests below run in a process of its own.
func TestChild(t *testing.T) {
	dir := os.Getenv("ATOMICFILE_CHILD_DIR")
	files := pair(dir)
	switch os.Getenv("ATOMICFILE_CHILD") {
	case "full":
		// Stands for a full disk: the second file does not fit any more.
		files[1].Data = make([]byte, 64<<10)
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4 << 10, Max: 4 << 10}); err != nil {
			t.Fatal(err)
		}
		for _, put := range []func([]File) error{CreateAll, ReplaceAll} {
			err := put(files)
			if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != files[1].Path || !errors.Is(err, syscall.EFBIG) {
				t.Errorf("error = %v, want that %s does not fit", err, files[1].Path)
			}
		}
	case "kill":
		for n := 0; ; n++ {
			for i := range files {
				files[i].Data = fmt.Appendf(nil, "%d", n)
			}
			if err := ReplaceAll(files); err != nil {
				t.Fatal(err)
			}
			var fresh []File
			for i, f := range files {
				f.Path = filepath.Join(dir, fmt.Sprintf("fresh-%d-%d", n, i))
				fresh = append(fresh, f)
			}
			if err := CreateAll(fresh); err != nil {
				t.Fatal(err)
			}
		}
	default:
		t.Skip("for the other tests")
	}
}

func child(t *testing.T, what, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), "ATOMICFILE_CHILD="+what, "ATOMICFILE_CHILD_DIR="+dir)
	return cmd
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := child(t, "full", dir).CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v: %s", err, out)
	}
	if got := content(t, dir); len(got) > 0 {
		t.Errorf("folder holds %q, want nothing", got)
	}
}

func TestKilled(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		cmd := child(t, "kill", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Any moment will do, once it is at work.
		for deadline := time.Now().Add(10 * time.Second); ; {
			if _, err := os.Lstat(filepath.Join(dir, "fresh-3-0")); err == nil || time.Now().After(deadline) {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says that it was killed
		left := 0
		for name, data := range content(t, dir) {
			if strings.HasPrefix(name, tempPrefix) {
				left++
				continue
			}
			var n, m, i int
			whole := len(data) > 0
			if _, err := fmt.Sscanf(name, "fresh-%d-%d", &n, &i); err == nil {
				whole = data == fmt.Sprint(n)
			} else if _, err := fmt.Sscan(data, &m); err != nil {
				whole = false
			}
			if !whole {
				t.Errorf("%s holds %q", name, data)
			}
		}
		if left > 2 {
			t.Errorf("%d temporary files are left, want at most those of one call", left)
		}
	}
}

func TestUnwritableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir, closed := t.TempDir(), filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	files := append(pair(dir), File{filepath.Join(closed, "b"), nil, 0o600})
	for op, put := range map[string]func([]File) error{"create": CreateAll, "replace": ReplaceAll} {
		err := put(files)
		if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != files[2].Path || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v, want that %s may not be written", op, err, files[2].Path)
		}
	}
	if got, want := content(t, dir), map[string]string{}; !maps.Equal(got, want) {
		t.Errorf("folder holds %q, want nothing", got)
	}
}
