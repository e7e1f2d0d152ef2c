package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fakeSudo notes how it was called, asks as the real one does, and goes by the
// answer. Nothing it starts is root.
const fakeSudo = `#!/bin/sh
printf 'called\0' >>"$HOME/sudo.log"
printf '%s\0' "$@" >>"$HOME/sudo.log"
printf 'Password: ' >&2
read -r answer
printf '\n' >&2
case $answer in
pretend) exit 0 ;;
run) shift; exec "$@" ;;
esac
echo 'Sorry, try another day.' >&2
exit 1
`

// A session is a program on a terminal, with a person who reads and types.
type session struct {
	cmd    *exec.Cmd
	master *os.File
	closed chan struct{} // no program has the terminal any more

	mu    sync.Mutex
	shown bytes.Buffer
}

// session starts devproxy on a terminal.
func (h *home) session(t *testing.T, args ...string) *session {
	t.Helper()
	return onSession(t, h.command(t, os.Getenv(envBinary), args...))
}

// onSession starts a program on a terminal.
func onSession(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	master, terminal := openTerminal(t)
	s := &session{cmd: cmd, master: master, closed: make(chan struct{})}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = terminal, terminal, terminal
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	go func() {
		defer close(s.closed)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.shown.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

// text returns what the terminal has shown, without colours.
func (s *session) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(escape.ReplaceAllString(s.shown.String(), ""), "\r\n", "\n")
}

// question waits until sudo asks for the nth time, and returns what was shown
// by then.
func (s *session) question(t *testing.T, n int) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text := s.text()
		if strings.Count(text, "Password: ") >= n {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("sudo was not called %d times in %v:\n%s", n, patience, text)
		}
	}
}

func (s *session) answer(t *testing.T, line string) {
	t.Helper()
	if _, err := s.master.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
}

// refuse says no whenever sudo asks, until the program ends.
func (s *session) refuse(t *testing.T) result {
	t.Helper()
	for n := 0; ; time.Sleep(5 * time.Millisecond) {
		if asked := strings.Count(s.text(), "Password: "); asked > n {
			n++
			s.answer(t, "no")
		}
		select {
		case <-s.closed:
			return s.end(t)
		default:
		}
	}
}

// end waits for the program and returns everything that was shown.
func (s *session) end(t *testing.T) result {
	t.Helper()
	s.cmd.Wait()
	select {
	case <-s.closed:
	case <-time.After(patience):
		t.Fatalf("something keeps the terminal open:\n%s", s.text())
	}
	return result{stderr: s.text(), code: s.cmd.ProcessState.ExitCode()}
}

// sudoCalls returns the arguments of each call of sudo so far.
func (h *home) sudoCalls() [][]string {
	var calls [][]string
	data, _ := os.ReadFile(filepath.Join(h.dir, "sudo.log"))
	for word := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		switch {
		case word == "called":
			calls = append(calls, nil)
		case len(calls) > 0:
			calls[len(calls)-1] = append(calls[len(calls)-1], word)
		}
	}
	return calls
}

// indented returns the commands in what devproxy said: they stand on lines of
// their own.
func indented(text string) []string {
	var commands []string
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// sudoer makes the home of someone whose sudo is the fake one, with names that
// a hosts file is to hold.
func sudoer(t *testing.T) *home {
	t.Helper()
	h := newUser(t)
	h.addBrowsers(t)
	dir := h.makeDir(t, "programs")
	h.put(t, filepath.Join(dir, "sudo"), fakeSudo, 0o755)
	h.write(t, "devproxy.toml", `routes."shop.test" = 5000`)
	return h.withEnv("PATH=" + dir + ":/usr/local/bin:/usr/bin:/bin")
}

// owned fails for each file in the home that is not its owner's.
func (h *home) owned(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != h.user.Uid {
			t.Errorf("%s belongs to user %d, want %d", path, uid, h.user.Uid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// privileged are the commands that need root for a part of what they do.
var privileged = []struct {
	args []string
	undo []string
	why  string // what the announcement begins with
	code int    // without root
}{
	{[]string{"trust"}, []string{"untrust"}, "devproxy: root is needed to add the root certificate to the system's trust store; sudo will run:\n", 3},
	{[]string{"hosts", "sync"}, []string{"hosts", "clean"}, "devproxy: root is needed to write shop.test to /etc/hosts; sudo will run:\n", 1},
}

// announced checks what a person reads before sudo asks: why, and exactly what
// sudo is told to run. It returns the commands.
func announced(t *testing.T, h *home, before, why string) []string {
	t.Helper()
	_, after, ok := strings.Cut(before, why)
	if !ok || strings.Count(before, "Password: ") != 1 || !strings.HasSuffix(after, "Password: ") {
		t.Fatalf("sudo asks before devproxy has said %q:\n%s", why, before)
	}
	commands := indented(after)
	calls := h.sudoCalls()
	if len(calls) != 1 || len(commands) == 0 {
		t.Fatalf("%d calls of sudo and %d commands announced, want one and some:\n%s", len(calls), len(commands), before)
	}
	// What is announced is run, but for the check of the file that it reads.
	said := strings.Join(calls[0], " ")
	for word := range strings.FieldsSeq(commands[0]) {
		if calls[0][0] != "--" || !strings.Contains(said, word) {
			t.Errorf("sudo is to run %q, announced was %q", said, commands[0])
		}
	}
	return commands
}

// TestSudoRefuses runs what needs root for someone to whom sudo says no. The
// commands that devproxy leaves behind do the rest, as an administrator would
// paste them.
func TestSudoRefuses(t *testing.T) {
	for _, tt := range privileged {
		t.Run(tt.args[0], func(t *testing.T) {
			h := sudoer(t)
			addHosts(t, "127.0.0.1") // and restores the file
			s := h.session(t, tt.args...)
			commands := announced(t, h, s.question(t, 1), tt.why)
			s.answer(t, "no")
			got := s.end(t).must(t, tt.code)
			_, after, _ := strings.Cut(got.stderr, "Sorry, try another day.")
			if left := indented(after); !slices.Equal(left, commands) {
				t.Errorf("after the refusal %q is left to be run, want %q\n%s", left, commands, got)
			}
			if calls := len(h.sudoCalls()); calls != 1 {
				t.Errorf("sudo was called %d times, want once", calls)
			}
			h.owned(t)

			h.pasted(t, commands)
			if got := h.session(t, tt.args...).end(t); got.code != 0 || len(h.sudoCalls()) != 1 {
				t.Errorf("with the commands run, nothing is left to do: %d calls of sudo, %s", len(h.sudoCalls())-1, got)
			}

			got = h.session(t, tt.undo...).refuse(t).must(t, tt.code)
			h.pasted(t, indented(got.stderr[strings.LastIndex(got.stderr, "Sorry, try another day."):]))
			calls := len(h.sudoCalls())
			if got := h.session(t, tt.undo...).end(t); got.code != 0 || len(h.sudoCalls()) != calls {
				t.Errorf("with the commands run, nothing is left to undo: %d calls of sudo, %s", len(h.sudoCalls())-calls, got)
			}
			h.owned(t)
		})
	}
}

// pasted runs commands as an administrator does who was sent them.
func (h *home) pasted(t *testing.T, commands []string) {
	t.Helper()
	if len(commands) == 0 {
		t.Fatal("no commands were left to be run")
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", "-c", strings.Join(commands, "\n"))
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", commands, err, out)
	}
}

// TestSudoWithoutEffect runs what needs root with a sudo that makes nobody
// root. What counts is what is there afterwards.
func TestSudoWithoutEffect(t *testing.T) {
	for _, how := range []struct {
		answer string
		want   []string // in what devproxy says, for each of privileged
	}{
		{"pretend", []string{"the change had no effect", "/etc/hosts does not hold what was written"}},
		{"run", []string{"Permission denied", "Permission denied"}},
	} {
		for i, tt := range privileged {
			t.Run(how.answer+" "+tt.args[0], func(t *testing.T) {
				h := sudoer(t)
				hosts := stateOf(t, "/etc/hosts")
				s := h.session(t, tt.args...)
				calls := len(announced(t, h, s.question(t, 1), tt.why)) // one for each command
				if how.answer == "run" {
					calls = 1 // which fails
				}
				for n := range calls {
					s.question(t, n+1)
					s.answer(t, how.answer)
				}
				got := s.end(t).must(t, tt.code)
				if !strings.Contains(got.stderr, how.want[i]) {
					t.Errorf("want %q in\n%s", how.want[i], got)
				}
				if now := stateOf(t, "/etc/hosts"); now != hosts {
					t.Errorf("/etc/hosts is %v, was %v", now, hosts)
				}
				h.owned(t)
			})
		}
	}
}
