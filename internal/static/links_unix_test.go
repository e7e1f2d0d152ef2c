//go:build unix

package static

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestLinks(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.txt":                "a",
		"docs/index.html":      "docs",
		".pnpm/pkg/index.html": "pkg",
	})
	for link, target := range map[string]string{
		"in":         "docs",
		"in.txt":     "docs/../a.txt",
		"docs/up":    "../a.txt",
		"pkg":        ".pnpm/pkg",
		"out":        "../outside",
		"out.html":   "../outside/index.html",
		"absolute":   filepath.Join(dir, "docs"),
		"etc":        "/etc",
		"dangling":   "none",
		"ring":       "ring",
		"docs/back":  "../../site/docs",
		"x/index":    "../docs",
		"y/index.ht": "../../outside/index.html",
	} {
		path := filepath.Join(dir, link)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../outside/index.html", filepath.Join(dir, "y/index.html")); err != nil {
		t.Fatal(err)
	}
	h := New(dir)
	const refused = "not followed"
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/in/", 200, "docs"},
		{"/in", 307, ""},
		{"/in.txt", 200, "a"},
		{"/docs/up", 200, "a"},
		{"/pkg/", 200, "pkg"},
		{"/out/", 404, refused},
		{"/out", 404, refused},
		{"/out/index.html", 404, refused},
		{"/out.html", 404, refused},
		{"/y/", 404, refused},
		{"/absolute/", 404, refused},
		{"/etc/passwd", 404, refused},
		{"/docs/back/", 404, refused},
		{"/dangling", 404, "no such file"},
		{"/ring", 404, "no such file"},
	} {
		w := get(h, tt.path)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: got %d %q, want %d %q", tt.path, w.Code, w.Body, tt.status, tt.want)
		}
	}

	// The folder itself may be a link: its target is what is served.
	link := filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if w := get(New(link), "/a.txt"); w.Code != 200 {
		t.Errorf("folder behind a link: got %d %q", w.Code, w.Body)
	}
}

func TestSpecialFiles(t *testing.T) {
	dir := tree(t, nil)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", filepath.Join(dir, "index.html")); err != nil {
		t.Fatal(err)
	}
	// The path of a socket is short; that of the test's folder may not be.
	t.Chdir(dir)
	ln, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h := New(dir)
	for _, path := range []string{"/fifo", "/socket", "/"} {
		if w := get(h, path); w.Code != 404 {
			t.Errorf("%s: got %d %q, want 404", path, w.Code, w.Body)
		}
	}
	if w := get(New(fifo), "/"); w.Code != 404 {
		t.Errorf("a FIFO for a folder: got %d %q, want 404", w.Code, w.Body)
	}
	if w := get(New("/dev"), "/null"); w.Code != 404 {
		t.Errorf("/dev/null: got %d %q, want 404", w.Code, w.Body)
	}
}

func TestPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := tree(t, map[string]string{"a.txt": "a", "locked/b.txt": "b"})
	h := New(dir)
	for _, tt := range []struct{ lock, path string }{
		{"a.txt", "/a.txt"},
		{"locked", "/locked/b.txt"},
		{"locked", "/locked/"},
		{"", "/a.txt"},
	} {
		path := filepath.Join(dir, tt.lock)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		w := get(h, tt.path)
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if w.Code != 403 || w.Body.String() != "devproxy: no permission to read this file\n" {
			t.Errorf("%q locked: %s: got %d %q", tt.lock, tt.path, w.Code, w.Body)
		}
	}
}

// A name that Windows would take for a path is served nowhere.
func TestBackslash(t *testing.T) {
	dir := tree(t, map[string]string{`docs\a.txt`: "a"})
	if w := get(New(dir), `/docs\a.txt`); w.Code != 404 {
		t.Errorf("got %d %q, want 404", w.Code, w.Body)
	}
}

func TestRefusals(t *testing.T) {
	const path = "/home/someone/site/a.txt"
	for _, tt := range []struct {
		err  error
		want int
	}{
		{syscall.ENOENT, 404},
		{syscall.ENOTDIR, 404},
		{syscall.ENAMETOOLONG, 404},
		{syscall.EACCES, 403},
		{syscall.EPERM, 403},
		{syscall.EMFILE, 503},
		{syscall.ENFILE, 503},
		{syscall.EIO, 500},
		{syscall.ESTALE, 500},
	} {
		got := refusalOf(&os.PathError{Op: "openat", Path: path, Err: tt.err})
		if got.status != tt.want || strings.Contains(got.line, "someone") || strings.Contains(got.line, "\n") {
			t.Errorf("%v: got %d %q, want %d", tt.err, got.status, got.line, tt.want)
		}
	}
}

// While names change their meaning from harmless to harmful and back, what is
// harmful is neither served nor waited for.
func TestSwaps(t *testing.T) {
	dir := tree(t, map[string]string{"safe/index.html": "ok"})
	spare := filepath.Join(filepath.Dir(dir), "spare")
	if err := os.Mkdir(spare, 0o700); err != nil {
		t.Fatal(err)
	}
	type swap struct {
		name      string // within dir
		good, bad func(path string) error
		path      string // to ask for
	}
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	file := func(path string) error { return os.WriteFile(path, []byte("ok"), 0o600) }
	fifo := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	for _, s := range []swap{
		{name: "folder", good: link("safe"), bad: link("../outside"), path: "/folder/index.html"},
		{name: "folder2", good: link("safe"), bad: link("../outside"), path: "/folder2/"},
		{name: "file.html", good: link("safe/index.html"), bad: link("../outside/index.html"), path: "/file.html"},
		{name: "replaced.html", good: file, bad: link("../outside/index.html"), path: "/replaced.html"},
		{name: "pipe.html", good: file, bad: fifo, path: "/pipe.html"},
		{name: "pipelink.html", good: file, bad: link("pipe"), path: "/pipelink.html"},
	} {
		t.Run(s.name, func(t *testing.T) {
			h := New(dir)
			if s.name == "pipelink.html" {
				if err := fifo(filepath.Join(dir, "pipe")); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for round := 0; ; round++ {
					select {
					case <-done:
						return
					default:
					}
					make := s.good
					if round%2 == 1 {
						make = s.bad
					}
					next := filepath.Join(spare, s.name)
					if err := make(next); err != nil {
						t.Error(err)
						return
					}
					if err := os.Rename(next, filepath.Join(dir, s.name)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			statuses := make(map[int]int)
			for len(statuses) < 2 || statuses[200]+statuses[404] < 3000 {
				w := get(h, s.path)
				statuses[w.Code]++
				body := w.Body.String()
				if strings.Contains(body, secret) || w.Code == 200 && body != "ok" || w.Code != 200 && w.Code != 404 {
					t.Errorf("got %d %q", w.Code, body)
					break
				}
			}
			close(done)
			wg.Wait()
			t.Log(statuses)
		})
	}
}
