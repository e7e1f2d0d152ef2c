package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// homeInText stands for the reader's home folder.
const homeInText = "/home/you"

// A reader does what a tutorial says, in terminals that all stand in the
// home's work folder.
type reader struct {
	t        *testing.T
	home     *home
	patience time.Duration // with one block

	shell    *shell
	programs map[int]*program
}

// newReader returns one who leaves by leave, before the test's clean-up
// functions run: they close the terminals.
func newReader(t *testing.T, h *home) *reader {
	return &reader{t: t, home: h, patience: patience, programs: make(map[int]*program)}
}

// follow does all steps and returns how many blocks that were. The error is of
// the first that goes otherwise than the text says.
func (r *reader) follow(text string) (int, error) {
	blocks, err := parseBlocks(text)
	if err != nil {
		return 0, err
	}
	all, err := steps(blocks)
	if err != nil {
		return 0, err
	}
	done := 0
	for _, s := range all {
		began := time.Now()
		if err := r.do(s); err != nil {
			return done, fmt.Errorf("line %d: %v\n%s", s.line, err, s.text)
		}
		if took := time.Since(began); took > time.Second {
			r.t.Logf("line %d took %v", s.line, took.Round(10*time.Millisecond))
		}
		done++
		if s.lang == "sh" && s.want != nil {
			done++
		}
	}
	return done, nil
}

func (r *reader) do(s step) error {
	switch {
	case s.name != "":
		r.home.write(r.t, s.name, s.text)
		return nil
	case s.lang == "text":
		p := r.programs[s.terminal]
		if p == nil {
			return fmt.Errorf("nothing runs in terminal %d", s.terminal)
		}
		return p.awaitText(s.want.text, r.patience)
	case s.terminal == firstTerminal:
		return r.typed(s)
	}
	if p := r.programs[s.terminal]; p != nil {
		delete(r.programs, s.terminal)
		if err := p.interrupt(r.patience); err != nil {
			return err
		}
	}
	p, err := r.startProgram(s.text, true)
	if err != nil {
		return err
	}
	r.programs[s.terminal] = p
	return p.awaitText(s.want.text, r.patience)
}

// typed runs a block in the first terminal and compares what it shows.
func (r *reader) typed(s step) error {
	if r.shell == nil {
		shell, err := r.startShell()
		if err != nil {
			return err
		}
		r.shell = shell
	}
	shown, code, err := r.inShell(s)
	switch {
	case err != nil:
		return fmt.Errorf("%v; shown:\n%s", err, shown)
	case s.fails != (code != 0):
		return fmt.Errorf("exit status %d; shown:\n%s", code, shown)
	case s.want != nil && !matchAll(s.want.text, shown):
		return fmt.Errorf("shown:\n%s\nexpected (line %d):\n%s", shown, s.want.line, s.want.text)
	}
	return nil
}

// anonymous returns output as it is with any reader, without colours.
func (r *reader) anonymous(text string) string {
	text = strings.ReplaceAll(escape.ReplaceAllString(text, ""), "\r\n", "\n")
	return strings.ReplaceAll(text, r.home.dir, homeInText)
}

// leave closes the terminals.
func (r *reader) leave() {
	for n, p := range r.programs {
		if r.t.Failed() {
			r.t.Logf("terminal %d has shown:\n%s", n, p.text())
		}
		if err := p.interrupt(r.patience); err != nil {
			r.t.Error(err)
		}
	}
	if r.shell != nil {
		r.shell.close()
	}
}

// A shell is one bash that runs block after block in a terminal, so that what
// one sets the next one finds. Nobody is there to answer questions.
type shell struct {
	*program
	commands *os.File
	dir      string // where blocks wait
	blocks   int
}

// shellLoop reads a word and a path at a time, and prints a status after each.
// Any command that fails ends the shell, but for the one of a block that is to
// fail.
const shellLoop = `set -o pipefail
trap 'printf "\036%s\036\n" $?' EXIT
while read -r -u 3 how file; do
	status=0
	if [ "$how" = fails ]; then
		. "$file" </dev/null || status=$?
	else
		. "$file" </dev/null
	fi
	printf '\036%s\036\n' "$status"
done`

func (r *reader) startShell() (*shell, error) {
	commandsRead, commands, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer commandsRead.Close()
	p, err := r.startProgram(shellLoop, false, commandsRead)
	if err != nil {
		return nil, err
	}
	return &shell{program: p, commands: commands, dir: r.home.makeDir(r.t, "typed")}, nil
}

// inShell runs a block to its end.
func (r *reader) inShell(s step) (shown string, code int, err error) {
	r.shell.blocks++
	file := filepath.Join(r.shell.dir, fmt.Sprint(r.shell.blocks))
	r.home.put(r.t, file, s.text, 0o644)
	how := "succeeds"
	if s.fails {
		how = "fails"
	}
	if _, err := fmt.Fprintln(r.shell.commands, how, file); err != nil {
		return "", 0, err
	}
	const mark = "\x1e"
	var parts []string
	err = r.shell.await(r.patience, func(shown string) int {
		if parts = strings.SplitN(shown, mark, 3); len(parts) < 3 || !strings.HasPrefix(parts[2], "\n") {
			return -1
		}
		return len(parts[0]) + len(mark) + len(parts[1]) + len(mark) + len("\n")
	})
	if err != nil {
		return parts[0], 0, err
	}
	code, err = strconv.Atoi(parts[1])
	return parts[0], code, err
}

// close ends the shell and what it runs.
func (s *shell) close() {
	s.commands.Close()
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.exited
}

// A program runs in a terminal of its own.
type program struct {
	cmd    *exec.Cmd
	master *os.File
	clean  func(string) string
	exited chan struct{}

	mu    sync.Mutex
	shown bytes.Buffer
	more  chan struct{} // closed and replaced when there is more
	seen  int           // of the cleaned text: compared already
}

// startProgram runs a script in a new terminal. With keyboard it can be
// interrupted and asked there. files are 3 and up.
func (r *reader) startProgram(script string, keyboard bool, files ...*os.File) (*program, error) {
	master, terminal := openTerminal(r.t)
	defer terminal.Close()
	p := &program{master: master, clean: r.anonymous, exited: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command("bash", "-e", "-c", script)
	p.cmd.Dir, p.cmd.Env = r.home.work, append(slices.Clone(r.home.env), "TERM=xterm")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.cmd.ExtraFiles = files
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, Setsid: true, Setctty: keyboard, Credential: r.home.user,
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		p.read()
		close(read)
	}()
	go func() {
		p.cmd.Wait()
		select {
		case <-read: // all that it has shown
		case <-time.After(time.Second): // something that it started goes on
		}
		close(p.exited)
	}()
	return p, nil
}

func (p *program) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.shown.Write(buf[:n])
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// text returns what the terminal has shown.
func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clean(p.shown.String())
}

// awaitText waits until the terminal shows expected text, after what was seen
// before.
func (p *program) awaitText(want string, patience time.Duration) error {
	err := p.await(patience, func(shown string) int { return matchStart(want, shown) })
	if err != nil {
		return fmt.Errorf("%v; shown:\n%s\nexpected:\n%s", err, p.text()[p.seen:], want)
	}
	return nil
}

// await waits until found, called with what was not seen yet, says how much of
// it is what was waited for; -1: not there yet.
func (p *program) await(patience time.Duration, found func(string) int) error {
	deadline := time.After(patience)
	for ended := false; ; {
		p.mu.Lock()
		shown, more := p.clean(p.shown.String())[p.seen:], p.more
		p.mu.Unlock()
		if n := found(shown); n >= 0 {
			p.seen += n
			return nil
		}
		if ended {
			return fmt.Errorf("it has ended, %v", p.cmd.ProcessState)
		}
		select {
		case <-more:
		case <-p.exited:
			ended = true
		case <-deadline:
			return fmt.Errorf("it does not do so within %v", patience)
		}
	}
}

// interrupt presses Ctrl-C and waits for the end.
func (p *program) interrupt(patience time.Duration) error {
	select {
	case <-p.exited:
		return nil // by itself, which is not forbidden
	default:
	}
	if _, err := p.master.Write([]byte{'C' - '@'}); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(patience):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		return errors.New("it does not end within " + patience.String() + " of Ctrl-C: " + p.text())
	}
}
