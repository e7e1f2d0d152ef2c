package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// addBrowsers leaves in the home what Chromium and Firefox leave, as far as
// trust looks at it, so that the stores are the same on every machine.
func (h *home) addBrowsers(t *testing.T) {
	t.Helper()
	tool(t, "certutil")
	h.makeDir(t, ".config", "chromium")
	dir := h.makeDir(t, ".mozilla", "firefox", "some.profile")
	h.put(t, filepath.Join(filepath.Dir(dir), "profiles.ini"), "[Profile0]\nIsRelative=1\nPath=some.profile\n", 0o600)
}

// makeDir makes a folder in the home, and returns its path.
func (h *home) makeDir(t *testing.T, names ...string) string {
	t.Helper()
	dir := h.dir
	for _, name := range names {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		h.own(t, dir)
	}
	return dir
}

// tableLine returns what a start's table says after a word, "" if it has no
// such line.
func tableLine(table, word string) string {
	for line := range strings.Lines(table) {
		if text, ok := strings.CutPrefix(line, "  "+word+"  "); ok {
			return strings.TrimSuffix(text, "\n")
		}
	}
	return ""
}

// TestStartTable starts devproxy again and again, each time after what the
// table advised last.
func TestStartTable(t *testing.T) {
	tool(t, "java")
	h := newHome(t)
	h.addBrowsers(t)
	t.Cleanup(func() {
		h.devproxy(t, "untrust").must(t, 0)
		h.devproxy(t, "hosts", "clean").must(t, 0)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0") // keeps the port of a backend that is down
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	h.write(t, "devproxy.toml", fmt.Sprintf("%s\nroutes.\"shop.test\" = \"http://%s\"", head, addr))

	self := os.Getenv(envBinary)
	const trusted = "trusted by System, Java, Chromium, Firefox"
	for _, step := range []struct {
		name, root, next string
		advice           string // a command at the end of next, to be run
	}{
		{"new", "not trusted yet by System, Java, Chromium, Firefox", "make browsers and tools accept these URLs: ", self + " trust"},
		{"trusted", trusted, "make shop.test lead to this machine: ", self + " hosts sync"},
		{"name found", trusted, "start the app behind shop.test: nothing listens at http://" + addr, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			table := readTable(t, h)
			if got := tableLine(table, "root"); got != step.root {
				t.Errorf("root %q, want %q", got, step.root)
			}
			if got := tableLine(table, "next"); got != step.next+step.advice {
				t.Fatalf("next %q, want %q", got, step.next+step.advice)
			}
			if step.advice != "" {
				h.run(t, "/bin/sh", "-c", step.advice).must(t, 0)
			}
		})
	}
	t.Run("app up", func(t *testing.T) {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		table := readTable(t, h)
		if root, next := tableLine(table, "root"), tableLine(table, "next"); root != trusted || next != "" {
			t.Errorf("root %q, next %q; want %q and nothing to do", root, next, trusted)
		}
	})
}

// readTable starts devproxy and returns the table it shows.
func readTable(t *testing.T, h *home) string {
	t.Helper()
	s := launch(t, h)
	defer s.stop(t)
	return s.ready(t)
}

// TestGoRunHints starts the program as its developers do. A second "go run"
// starts it from another place, the build cache.
func TestGoRunHints(t *testing.T) {
	var owner syscall.Stat_t
	if err := syscall.Stat(os.Getenv("GOCACHE"), &owner); err != nil {
		t.Fatal(err)
	}
	h := userHome(t, owner.Uid, owner.Gid) // nobody else can use the cache, or should write to it
	for _, name := range goSettings {
		h.env = append(h.env, name+"="+os.Getenv(name))
	}
	h.env = append(h.env, "CGO_ENABLED=0", "GOPROXY=off", "GOTOOLCHAIN=local")
	goTool, err := exec.LookPath(os.Getenv(envGo))
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"first", "second"} {
		cmd := h.command(t, goTool, "run", "./cmd/devproxy", "truts")
		cmd.Dir = ".."
		got := finish(t, cmd)
		if want := "did you mean go run ./cmd/devproxy trust?"; got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s run: want exit 1, which is go's, and %q in\n%s", run, want, got)
		}
	}
}
