//go:build unix

package elevate

import (
	"bytes"
	"context"
	"errors"
	"io"
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

func shell(script string, args ...string) Command {
	return append(Command{"/bin/sh", "-c", script, "sh"}, args...)
}

func asRoot(limit time.Duration) *Runner {
	r := New(Config{Root: true})
	r.limit = limit
	return r
}

// fakeSudo returns the path of a stand-in whose body decides; it finds the
// options before "--" in $options and the command in "$@".
func fakeSudo(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sudo")
	text := "#!/bin/sh\noptions=\nwhile [ \"$1\" != -- ]; do options=\"$options$1\"; shift; done\nshift\n" + body + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	err := asRoot(Timeout).Run(t.Context(), []Command{
		shell(`echo "$1" >"$2"`, "it's $HOME", file),
		shell(`echo second >>"$1"; echo chatter`, file),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, file), "it's $HOME\nsecond\n"; got != want {
		t.Errorf("file holds %q, want %q", got, want)
	}
}

func TestRunStopsAtFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	err := asRoot(Timeout).Run(t.Context(), []Command{
		shell("echo one; echo two >&2; exit 3"),
		shell(`>"$1"`, file),
	})
	if got, want := errText(err), "/bin/sh -c 'echo one; echo two >&2; exit 3' sh: exit status 3: one; two"; got != want {
		t.Errorf("Run = %q, want %q", got, want)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command after the failed one ran")
	}
}

func TestRunMissingProgram(t *testing.T) {
	err := asRoot(Timeout).Run(t.Context(), []Command{{"/no/such/program"}})
	if got := errText(err); !strings.HasPrefix(got, "/no/such/program: exit status 127: ") || errors.Is(err, ErrUnavailable) {
		t.Errorf("Run = %q, want the command's own failure", got)
	}
}

// The environment is fixed, and there is nothing to read.
func TestEnvironment(t *testing.T) {
	t.Setenv("DEVPROXY_TEST", "leaks")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("PATH", "/nowhere:"+os.Getenv("PATH"))
	sudo := fakeSudo(t, `exec "$@"`)
	for name, cfg := range map[string]Config{
		"root": {Root: true, Stdin: input(t, "typed ahead\n")},
		"sudo": {Sudo: sudo, Terminal: true, Stdin: input(t, "typed ahead\n")},
	} {
		file := filepath.Join(t.TempDir(), "env")
		err := New(cfg).Run(t.Context(), []Command{shell(`env >"$1"; cat >>"$1"`, file)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(read(t, file)) {
			switch key, _, _ := strings.Cut(line, "="); key {
			case "PWD", "OLDPWD", "SHLVL", "_": // the shell's own
			default:
				got = append(got, strings.TrimSpace(line))
			}
		}
		slices.Sort(got)
		if want := []string{"LC_ALL=C", "PATH=" + path}; !slices.Equal(got, want) {
			t.Errorf("%s: environment and input %q, want %q", name, got, want)
		}
	}
}

// input returns a pipe that holds text and stays open, like a terminal.
func input(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSudoAsksForPassword(t *testing.T) {
	// Asked for each command, as without tickets, and slower than the limit.
	sudo := fakeSudo(t, `printf 'Password: ' >&2; read -r p
sleep 0.5
[ "$p" = secret ] || { echo 'sudo: wrong' >&2; exit 1; }
exec "$@"`)
	file := filepath.Join(t.TempDir(), "file")
	var said bytes.Buffer
	keys := input(t, "secret\n")
	r := New(Config{Sudo: sudo, Terminal: true, Stdin: keys, Stderr: &said})
	r.limit = 400 * time.Millisecond
	err := r.Run(t.Context(), []Command{shell(`echo done >"$1"; echo chatter`, file)})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, file); got != "done\n" {
		t.Errorf("file holds %q", got)
	}
	if got := said.String(); got != "Password: " {
		t.Errorf("shown %q, want only the question", got)
	}
}

func TestSudoWithoutTickets(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	sudo := fakeSudo(t, `echo "asked$options" >>`+asked+`; exec "$@"`)
	r := New(Config{Sudo: sudo, Terminal: true})
	if err := r.Run(t.Context(), []Command{shell(":"), shell(":")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, asked); got != "asked\nasked\n" {
		t.Errorf("sudo was asked %q, want once for each command and nothing else", got)
	}
}

func TestSudoRefuses(t *testing.T) {
	sudo := fakeSudo(t, "echo 'sudo: 3 incorrect password attempts' >&2; exit 1")
	file := filepath.Join(t.TempDir(), "file")
	var said bytes.Buffer
	err := New(Config{Sudo: sudo, Terminal: true, Stderr: &said}).Run(t.Context(), []Command{shell(`>"$1"`, file)})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("Run = %v, want ErrUnavailable", err)
	}
	if strings.Contains(errText(err), "incorrect") || said.String() != "sudo: 3 incorrect password attempts\n" {
		t.Errorf("error %q, shown %q; want sudo's words shown once", err, said.String())
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command ran")
	}
}

func TestCommandFailsUnderSudo(t *testing.T) {
	// The same exit code as sudo's refusal.
	err := New(Config{Sudo: fakeSudo(t, `exec "$@"`), Terminal: true}).Run(t.Context(), []Command{shell("echo no >&2; exit 1")})
	if got := errText(err); errors.Is(err, ErrUnavailable) || !strings.HasSuffix(got, ": exit status 1: no") {
		t.Errorf("Run = %q, want the command's failure", got)
	}
}

func TestSudoWithoutTerminal(t *testing.T) {
	free := New(Config{Sudo: fakeSudo(t, `[ "$options" = -n ] && exec "$@"; exit 9`)})
	if err := free.Run(t.Context(), []Command{shell(":")}); err != nil {
		t.Errorf("without a password: %v", err)
	}
	asking := New(Config{Sudo: fakeSudo(t, "echo 'sudo: a password is required'; exit 1")})
	if err := asking.Available(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a password: %v, want ErrUnavailable", err)
	}
	if err := asking.Run(t.Context(), []Command{shell(":")}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a password: Run = %v, want ErrUnavailable", err)
	}
	// Tickets run out between one command and the next.
	once := filepath.Join(t.TempDir(), "once")
	fickle := New(Config{Sudo: fakeSudo(t, `[ -e `+once+` ] && { echo 'sudo: a password is required'; exit 1; }; >`+once+`; exec "$@"`)})
	err := fickle.Run(t.Context(), []Command{shell(":")})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(errText(err), "a password is required") {
		t.Errorf("Run = %v, want ErrUnavailable with sudo's words", err)
	}
}

// A lifeline is held open by a command and everything it starts.
type lifeline struct {
	path string
	end  chan struct{} // closed when the last holder died
	up   chan struct{} // closed when the command said so
}

func newLifeline(t *testing.T) *lifeline {
	t.Helper()
	l := &lifeline{path: filepath.Join(t.TempDir(), "fifo"), end: make(chan struct{}), up: make(chan struct{})}
	if err := syscall.Mkfifo(l.path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.end)
		f, err := os.Open(l.path)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		var b [3]byte
		if _, err := io.ReadFull(f, b[:]); err == nil {
			close(l.up)
		}
		io.Copy(io.Discard, f)
	}()
	return l
}

func (l *lifeline) wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: timed out", what)
	}
}

func TestHangingCommand(t *testing.T) {
	needTimeout(t)
	sudo := fakeSudo(t, `"$@"`) // waits for the command, as the real one
	for name, tt := range map[string]struct {
		cfg    Config
		script string
	}{
		"plain":           {Config{Root: true}, `exec 3>"$1"; echo up >&3; echo hm; sleep 60`},
		"deaf to SIGTERM": {Config{Root: true}, `trap '' TERM; exec 3>"$1"; echo up >&3; echo hm; sleep 60`},
		"child":           {Config{Root: true}, `exec 3>"$1"; echo up >&3; echo hm; (trap '' TERM; sleep 60; sleep 60)`},
		"sudo":            {Config{Sudo: sudo, Terminal: true}, `exec 3>"$1"; echo up >&3; echo hm; sleep 60`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLifeline(t)
			r := New(tt.cfg)
			r.limit = time.Second // on a busy machine, long enough to say hm
			err := r.Run(t.Context(), []Command{shell(tt.script, l.path)})
			if got := errText(err); !strings.Contains(got, ": did not finish within 1s: hm") || errors.Is(err, ErrUnavailable) {
				t.Errorf("Run = %q, want a timeout", got)
			}
			l.wait(t, l.end, "end of the command and its children")
		})
	}
}

// On a busy machine the start of a command may be seen when it is over, as from
// this sudo, which holds back what the command prints.
func TestHangingCommandSeenLate(t *testing.T) {
	needTimeout(t)
	sudo := fakeSudo(t, `"$@" >"$0.out" 2>&1; status=$?; cat "$0.out"; exit "$status"`)
	for name, tt := range map[string]struct {
		script string
		limit  time.Duration
		want   string
	}{
		"stopped":       {"echo hm; sleep 60", 300 * time.Millisecond, ": did not finish within 300ms"},
		"killed":        {"trap '' TERM; echo hm; sleep 60; sleep 60", 300 * time.Millisecond, ": did not finish within 300ms"},
		"own status":    {"echo hm; exit 124", Timeout, ": exit status 124: hm"},
		"out of memory": {"echo hm; kill -s KILL $$", Timeout, ": exit status 137: "},
	} {
		// Not parallel: they share the file.
		r := New(Config{Sudo: sudo, Terminal: true})
		r.limit = tt.limit
		err := r.Run(t.Context(), []Command{shell(tt.script)})
		if got := errText(err); !strings.Contains(got, tt.want) {
			t.Errorf("%s: Run = %q, want %q", name, got, tt.want)
		}
	}
}

// An interrupt at the terminal reaches devproxy, which cancels.
func TestCancel(t *testing.T) {
	for name, cfg := range map[string]Config{
		"root": {Root: true},
		"sudo": {Sudo: fakeSudo(t, `exec "$@"`), Terminal: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLifeline(t)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				err := New(cfg).Run(ctx, []Command{shell(`exec 3>"$1"; echo up >&3; sleep 60`, l.path)})
				if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
					t.Errorf("Run = %v, want context.Canceled", err)
				}
			})
			l.wait(t, l.up, "start of the command")
			cancel()
			wg.Wait()
			l.wait(t, l.end, "end of the command and its children")
		})
	}
}

func TestCancelAtThePrompt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asks := writerFunc(func([]byte) { cancel() })
	sudo := fakeSudo(t, `printf 'Password: ' >&2; exec sleep 60`)
	err := New(Config{Sudo: sudo, Terminal: true, Stderr: asks}).Run(ctx, []Command{shell(":")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want context.Canceled", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// What a command leaves running must not make it hang or fail.
func TestLeftOverChildHoldsPipe(t *testing.T) {
	l := newLifeline(t)
	begin := time.Now()
	err := asRoot(8*time.Second).Run(t.Context(), []Command{shell(`exec 3>"$1"; echo up >&3; sleep 6 &`, l.path)})
	if err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v, as long as the child", took)
	}
}

// hostileWords are arguments that a shell, a terminal or printf might take for
// something else.
var hostileWords = []string{
	"a\nb", "\n", "a\n", "\n\na\n\n", "\r", "a\r\nb", "a\tb", "\t", "\x1b[2J\x1b]0;x\a", "\x7f", "\x01\x03\x04\x15\x16\x17\x1a",
	"-\n-", "--\x01", "-v x\x01", "%s\x01%d%%", `\n\x41\101\c` + "\x01", "it's\n\"$HOME\"`id`$(id)", "!!\x01!a !", "^a^b\x01", "\xff\xfe\n",
	"bücher\n日本", "\u009b31m", "\u202egnp.exe", "\u2028", " \n ", "/home/a\nrm -rf x #/b", "\x01)\"; echo no; \"$(",
}

func hostileCommands() []Command {
	list := []Command{append(Command{"/bin/echo"}, hostileWords...)}
	for _, w := range hostileWords {
		list = append(list, Command{"/bin/a\x1bb", w})
	}
	for _, tt := range quoteTests {
		list = append(list, tt.words)
	}
	return list
}

// Each command is pasted into shells as they are at a prompt, where words also
// recall the history.
func TestPaste(t *testing.T) {
	for _, sh := range [][]string{{"/bin/sh", "-i"}, {"bash", "--norc", "--noprofile", "-i"}, {"bash", "--posix", "--norc", "-i"}} {
		path, err := exec.LookPath(sh[0])
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Logf("skipping %s: %v", sh[0], err)
			continue
		}
		dir := t.TempDir()
		var lines, want strings.Builder
		lines.WriteString("echo remembered\n")
		for _, c := range hostileCommands() {
			lines.WriteString(`printf '%s\0' ` + c.String() + " >>got\n")
			for _, word := range c {
				want.WriteString(word + "\x00")
			}
		}
		cmd := exec.CommandContext(t.Context(), path, sh[1:]...)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=dumb", "LC_ALL=C.UTF-8"}
		cmd.Stdin = strings.NewReader(lines.String() + "exit\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal of the tests is not theirs
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", sh, err, out)
		}
		if got := read(t, filepath.Join(dir, "got")); got != want.String() {
			t.Errorf("%v: got\n%q, want\n%q", sh, got, want.String())
		}
	}
}

// Whatever the words, shells take them as they are, and none of them steers
// the terminal that shows them.
func FuzzQuote(f *testing.F) {
	for _, tt := range quoteTests {
		f.Add(tt.words[0], tt.words[len(tt.words)-1])
	}
	for _, w := range hostileWords {
		f.Add(w, "/bin/echo")
	}
	shells := []string{"/bin/sh"}
	if path, err := exec.LookPath("bash"); err == nil {
		shells = append(shells, path)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.Contains(a+b, "\x00") {
			t.Skip("no argument of a command can hold a NUL")
		}
		line := Command{a, b}.String()
		if !isPrintable(strings.ReplaceAll(line, "\n", "")) {
			t.Errorf("%q shows as %q", []string{a, b}, line)
		}
		for _, shell := range shells {
			out, err := exec.Command(shell, "-c", `printf '%s\0' `+line).Output()
			if got, want := string(out), a+"\x00"+b+"\x00"; err != nil || got != want {
				t.Errorf("%s reads %s as %q, %v; want %q", shell, line, got, err, want)
			}
		}
	})
}

// needTimeout skips where timeout(1) is missing, as on macOS; under CI that is
// a failure.
func needTimeout(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("timeout"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("timeout(1) is missing")
		}
		t.Skip("needs timeout(1)")
	}
}
