package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A user id that no one has.
const nobodysUID = 54321

// newUser makes the home of someone without any privileges.
func newUser(t *testing.T) *home {
	t.Helper()
	return userHome(t, nobodysUID, nobodysUID)
}

// userHome makes a home for a user id.
func userHome(t *testing.T, uid, gid uint32) *home {
	t.Helper()
	// The test's own folder is closed to other users.
	dir, err := os.MkdirTemp("", "devproxy-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// So is the folder of the program.
	if err := os.Chmod(filepath.Dir(os.Getenv(envBinary)), 0o755); err != nil {
		t.Fatal(err)
	}
	return makeHome(t, dir, &syscall.Credential{Uid: uid, Gid: gid})
}

// withEnv returns a copy of the home with other variables; "NAME" alone takes
// one away.
func (h *home) withEnv(changes ...string) *home {
	other := *h
	other.env = nil
	changed := make(map[string]bool)
	for _, c := range changes {
		name, _, set := strings.Cut(c, "=")
		changed[name] = true
		if set {
			other.env = append(other.env, c)
		}
	}
	for _, v := range h.env {
		if name, _, _ := strings.Cut(v, "="); !changed[name] {
			other.env = append(other.env, v)
		}
	}
	return &other
}

// untouched fails if the home holds anything but the folders that makeHome put
// there.
func (h *home) untouched(t *testing.T) {
	t.Helper()
	names := entries(h.dir)
	if left := entries(filepath.Join(h.dir, "tmp")); len(names) != 2 || len(left) != 0 {
		t.Errorf("something was made in the home: %v, in its folder for temporary files: %v", names, left)
	}
}

// refused fails unless a command ended with code, an error that has all of
// words, and a hint.
func (r result) refused(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s", r.code, code, r)
	}
	if !strings.HasPrefix(r.stderr, "devproxy: error: ") || !strings.Contains(r.stderr, "\ndevproxy: hint: ") {
		t.Errorf("want an error and a hint:\n%s", r)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("want %q in the message:\n%s", word, r)
		}
	}
	noEscapes(t, r.stdout+r.stderr)
}

// noEscapes fails if text holds what a terminal would obey.
func noEscapes(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexAny(text, "\x1b\x07\x00\r"); i >= 0 {
		t.Errorf("control character %q in the output: %q", text[i], text)
	}
}

// TestCheckSamples gives every wrong file of internal/config to "devproxy
// check": each mistake is named with its line, and each hint printed.
func TestCheckSamples(t *testing.T) {
	samples, err := filepath.Glob("../internal/config/testdata/bad/*.toml")
	if err != nil || len(samples) < 100 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	h := newHome(t)
	for _, sample := range samples {
		t.Run(strings.TrimSuffix(filepath.Base(sample), ".toml"), func(t *testing.T) {
			text, err := os.ReadFile(sample)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(sample, ".toml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			h.write(t, "devproxy.toml", string(text))
			got := h.devproxy(t, "check").must(t, 2)
			var lines strings.Builder
			for line := range strings.Lines(string(want)) {
				kind := "error: "
				if hint, ok := strings.CutPrefix(line, "  hint: "); ok {
					kind, line = "hint: ", hint
				}
				lines.WriteString("devproxy: " + kind + line)
			}
			if got.stderr != lines.String() || got.stdout != "" {
				t.Errorf("got:\n%s\nwant on stderr:\n%s", got, lines.String())
			}
			noEscapes(t, got.stderr)
		})
	}
}

// TestUnreadableConfig has files that are no text, too large, or no files.
func TestUnreadableConfig(t *testing.T) {
	random := make([]byte, 4096)
	rand.Read(random)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, content, 0o644) }
	}
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"random bytes", write(random), "devproxy.toml:"},
		{"a program", write(program[:64<<10]), "devproxy.toml:"},
		{"10 MB of comments", write(bytes.Repeat([]byte("# a line\n"), 10<<20/9)), "1 MiB"},
		{"10 MB of routes", write(bytes.Repeat([]byte("[routes.\"a.localhost\"]\n"), 10<<20/23)), "1 MiB"},
		{"10 MB of brackets", write(bytes.Repeat([]byte("["), 10<<20)), "1 MiB"},
		{"1 MB of brackets", write([]byte("x = " + strings.Repeat("[", 1<<20-10))), "devproxy.toml:"},
		{"an endless device", func(path string) error { return os.Symlink("/dev/zero", path) }, "not a regular file"},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o644) }, "not a regular file"},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o755) }, "not a regular file"},
		{"a link to nothing", func(path string) error { return os.Symlink("/nonexistent", path) }, "does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			path := filepath.Join(h.work, "devproxy.toml")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"check"}, {"check", path}, {"serve"}} {
				began := time.Now()
				got := h.devproxy(t, args...)
				if got.code != 2 || !strings.HasPrefix(got.stderr, "devproxy: error: ") {
					t.Errorf("%s: %s\nwant exit code 2 and an error", args, got)
				}
				if !strings.Contains(got.stderr, tt.want) && len(args) == 1 {
					t.Errorf("%s: %s\nwant %q in it", args, got, tt.want)
				}
				noEscapes(t, got.stderr)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("%s took %v", args, took)
				}
			}
			if entries(h.state())["ca.pem"] {
				t.Error("a CA was made for a configuration that cannot be served")
			}
		})
	}

	t.Run("not for this user", func(t *testing.T) {
		h := newUser(t)
		path := h.write(t, "devproxy.toml", `routes."a.localhost" = 1`)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"check", "serve", "routes"} {
			h.devproxy(t, command).refused(t, 2, "devproxy.toml", "permission denied")
		}
	})
}

// TestUntrustedConfig has a configuration where others may have put it.
func TestUntrustedConfig(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		change       func(dir string) error
	}{
		{"folder of another user", "belongs to another user", func(dir string) error { return os.Chown(dir, nobodysUID+1, nobodysUID+1) }},
		{"folder for everybody", "can be written by everybody", func(dir string) error { return os.Chmod(dir, 0o777) }},
		{"folder of a group", "can be written by a group", func(dir string) error {
			return errors.Join(os.Chown(dir, nobodysUID, 100), os.Chmod(dir, 0o775))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newUser(t)
			path := h.write(t, "devproxy.toml", head+`routes."a.localhost" = 1`)
			if err := tt.change(h.work); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"check", "serve", "routes"} {
				h.devproxy(t, command).refused(t, 2, path+" is not used", tt.reason, "--config "+path)
			}
			h.devproxy(t, "check", path).must(t, 0) // named, it is used
		})
	}
}

// TestEnvironment starts devproxy in environments it must not guess about.
func TestEnvironment(t *testing.T) {
	h := newHome(t)
	h.write(t, "devproxy.toml", head+`routes."hello.localhost" = "builtin:hello"`)
	for _, tt := range []struct {
		name string
		env  []string
		want string
	}{
		{"no HOME", []string{"HOME"}, "HOME is not set"},
		{"empty HOME", []string{"HOME="}, "HOME is not set"},
		{"relative HOME", []string{"HOME=home"}, "HOME is not set to an absolute path"},
		{"relative DEVPROXY_HOME", []string{"DEVPROXY_HOME=state"}, `DEVPROXY_HOME is "state"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, args := range [][]string{{"serve"}, {"ca", "show"}, {"ca", "rotate"}, {"routes"}, {"trust"}, {"untrust"}} {
				h.withEnv(tt.env...).devproxy(t, args...).refused(t, 2, tt.want)
			}
		})
	}
	if names := entries(h.work); len(names) != 1 {
		t.Errorf("something was made in the working directory: %v", names)
	}
	t.Run("check needs no HOME", func(t *testing.T) {
		h.withEnv("HOME").devproxy(t, "check").must(t, 0)
	})
	t.Run("DEVPROXY_HOME instead of HOME", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		h.withEnv("HOME", "DEVPROXY_HOME="+dir).devproxy(t, "ca", "rotate").must(t, 0)
		if !entries(dir)["ca.pem"] {
			t.Errorf("no ca.pem in %s", dir)
		}
	})
	t.Run("a relative XDG_DATA_HOME is ignored", func(t *testing.T) {
		h.withEnv("XDG_DATA_HOME=data").devproxy(t, "ca", "rotate").must(t, 0)
		if !entries(h.state())["ca.pem"] {
			t.Errorf("no ca.pem in %s", h.state())
		}
	})
	t.Run("sudo", func(t *testing.T) {
		sudo := newHome(t, fmt.Sprintf("SUDO_UID=%d", nobodysUID), fmt.Sprintf("SUDO_GID=%d", nobodysUID), "SUDO_USER=someone")
		for _, args := range [][]string{{"serve"}, {}} {
			sudo.devproxy(t, args...).refused(t, 2, "started with sudo", "as yourself")
		}
		for _, args := range [][]string{{"trust"}, {"untrust"}, {"ca", "rotate"}, {"routes"}} {
			sudo.devproxy(t, args...).refused(t, 2, fmt.Sprintf("SUDO_UID is \"%d\"", nobodysUID), "no such user")
		}
		sudo.untouched(t)
	})
	t.Run("a working directory that is gone", func(t *testing.T) {
		h := newHome(t)
		cmd := h.command(t, "/bin/sh", "-c", `cd "$1" && rmdir "$1" && exec "$2" serve`, "sh", filepath.Join(h.dir, "gone"), os.Getenv(envBinary))
		if err := os.Mkdir(filepath.Join(h.dir, "gone"), 0o755); err != nil {
			t.Fatal(err)
		}
		finish(t, cmd).refused(t, 2, "--config")
	})
}

// TestWrongUsage has command lines that mean nothing.
func TestWrongUsage(t *testing.T) {
	h := newHome(t)
	self := os.Getenv(envBinary)
	for _, tt := range []struct {
		line string
		want []string // in the message
	}{
		{"truts", []string{`unknown command "truts"`, "did you mean " + self + " trust?"}},
		{"serv", []string{`unknown command "serv"`, "did you mean " + self + " serve?"}},
		{"shop", []string{`unknown command "shop"`, "HOST=TARGET"}},
		{"ca rotat", []string{`unknown command "ca rotat"`, "rotate"}},
		{"hosts snyc", []string{`unknown command "hosts snyc"`, "sync"}},
		{"--bogus", []string{"unknown flag: --bogus", self + " --help"}},
		{"serve --bogus", []string{"unknown flag: --bogus", self + " serve --help"}},
		{"serve shop.localhost", []string{`route "shop.localhost": no target`}},
		{"shop.localhost=ftp://127.0.0.1", []string{`route "shop.localhost": `, `"ftp"`}},
		{"bank.example=5000", []string{`route "bank.example": `, "outside the constraints"}},
		{"a.localhost=1 =2 b.localhost=70000", []string{`route "": no host name`, `route "b.localhost": port 70000`}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			h.devproxy(t, strings.Fields(tt.line)...).refused(t, 2, tt.want...)
		})
	}
	h.untouched(t)
}

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestColour runs commands on a terminal and elsewhere.
func TestColour(t *testing.T) {
	h := newHome(t)
	h.write(t, "devproxy.toml", `routes."hello.localhost" = "builtin:hello"`)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	for _, args := range [][]string{{"routes"}, {"ca", "show"}, {"truts"}, {"trust", "--dry-run"}} {
		got := h.devproxy(t, args...)
		noEscapes(t, got.stdout+got.stderr)
		if strings.ContainsAny(got.stdout+got.stderr, "✓✗") {
			t.Errorf("%s prints symbols where there is no terminal:\n%s", args, got)
		}
	}
	for _, tt := range []struct {
		env    string
		colour bool
	}{
		{"TERM=xterm", true},
		{"NO_COLOR=1", false},
		{"TERM=dumb", false},
	} {
		for _, args := range []string{"routes", "truts"} {
			text := onTerminal(t, h.withEnv(tt.env), args)
			if got := escape.MatchString(text); got != tt.colour {
				t.Errorf("%s on a terminal with %s: colour %v, want %v: %q", args, tt.env, got, tt.colour, text)
			}
			noEscapes(t, strings.ReplaceAll(escape.ReplaceAllString(text, ""), "\r\n", "\n"))
		}
	}
}

// openTerminal returns the two sides of a new terminal: what the person has,
// and what programs have.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		missing(t, "no terminals here: "+err.Error())
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		missing(t, "no terminals here: "+err.Error())
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

// onTerminal runs devproxy on a terminal and returns what that shows.
func onTerminal(t *testing.T, h *home, args ...string) string {
	t.Helper()
	master, terminal := openTerminal(t)
	cmd := h.command(t, os.Getenv(envBinary), args...)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	err := cmd.Run()
	terminal.Close()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	// The output fits the terminal's buffer; reading ends with an error once
	// the other side is closed.
	var shown bytes.Buffer
	buf := make([]byte, 64<<10)
	for {
		n, err := master.Read(buf)
		shown.Write(buf[:n])
		if err != nil {
			return shown.String()
		}
	}
}
