package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A dialogue is devproxy on a terminal of its own, and what that shows.
type dialogue struct {
	t                *testing.T
	master, terminal *os.File
	exited           chan int

	mu    sync.Mutex
	shown bytes.Buffer
	seen  int // how far it was looked at
}

func (h *home) converse(t *testing.T, args ...string) *dialogue {
	t.Helper()
	d := &dialogue{t: t, exited: make(chan int, 1)}
	d.master, d.terminal = openTerminal(t)
	cmd := h.command(t, os.Getenv(envBinary), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = d.terminal, d.terminal, d.terminal
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true // so that Ctrl-C is a signal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := d.master.Read(buf)
			d.mu.Lock()
			d.shown.Write(buf[:n])
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		cmd.Wait()
		d.exited <- cmd.ProcessState.ExitCode()
	}()
	return d
}

func (d *dialogue) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown.String()
}

// expect waits until text is shown, after what was expected before.
func (d *dialogue) expect(text string) {
	d.t.Helper()
	eventually(d.t, func() string { return fmt.Sprintf("no %q in %q", text, d.text()) }, func() bool {
		shown := d.text()
		i := strings.Index(shown[d.seen:], text)
		if i >= 0 {
			d.seen += i + len(text)
		}
		return i >= 0
	})
}

func (d *dialogue) enter(text string) {
	d.t.Helper()
	if _, err := d.master.WriteString(text); err != nil {
		d.t.Fatal(err)
	}
}

// echoes reports whether the terminal shows what is typed.
func (d *dialogue) echoes() bool {
	d.t.Helper()
	state, err := unix.IoctlGetTermios(int(d.terminal.Fd()), unix.TCGETS)
	if err != nil {
		d.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// end waits for the end of devproxy, after which the terminal is as it was and
// has shown no passphrase.
func (d *dialogue) end(code int) {
	d.t.Helper()
	select {
	case got := <-d.exited:
		if got != code {
			d.t.Errorf("exit code %d, want %d: %q", got, code, d.text())
		}
	case <-time.After(patience):
		d.t.Fatalf("devproxy does not end: %q", d.text())
	}
	if !d.echoes() {
		d.t.Error("the terminal does not show any more what is typed")
	}
	if shown := d.text(); strings.Contains(shown, sesame) || strings.Contains(shown, thyme) {
		d.t.Errorf("the terminal has shown the passphrase: %q", shown)
	}
}

// TestPassphraseTerminal answers questions as a person does.
func TestPassphraseTerminal(t *testing.T) {
	const (
		ctrlC  = "\x03"
		asks   = "Passphrase of the CA's key: "
		asksIt = "New passphrase: "
	)
	h := newHome(t, "NO_COLOR=1")
	h.write(t, "devproxy.toml", helloRoute)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	plain := read(t, h.caFile())

	d := h.converse(t, "ca", "passphrase")
	d.expect(asksIt)
	if d.echoes() {
		t.Error("what is typed is shown")
	}
	d.enter(sesame + "\n")
	d.expect("The same again: ")
	d.enter(thyme + "\n")
	d.expect("was not entered the same twice: nothing was changed")
	d.end(1)
	for _, at := range []string{asksIt, "The same again: "} {
		d = h.converse(t, "ca", "passphrase")
		d.expect(asksIt)
		if at != asksIt {
			d.enter(sesame + "\n")
			d.expect(at)
		}
		d.enter(ctrlC)
		d.expect("interrupted")
		d.end(1)
	}
	if read(t, h.caFile()) != plain {
		t.Error("the CA has changed")
	}
	d = h.converse(t, "ca", "passphrase")
	d.expect(asksIt)
	d.enter(sesame + "\n")
	d.expect("The same again: ")
	d.enter(sesame + "\n")
	d.expect("has a passphrase now")
	d.end(0)
	locked := read(t, h.caFile())

	d = h.converse(t, "serve") // three tries
	for range 2 {
		d.expect(asks)
		d.enter(thyme + "\n")
		d.expect("does not open the key of the CA: try again")
	}
	d.expect(asks)
	d.enter("\n")
	d.expect("error: the passphrase does not open the key of the CA")
	d.end(1)
	for _, command := range []string{"serve", "trust", "ca rotate"} {
		d = h.converse(t, strings.Fields(command)...)
		d.expect(asks)
		d.enter(ctrlC)
		d.expect("interrupted")
		d.end(1)
	}
	if read(t, h.caFile()) != locked {
		t.Error("the CA has changed")
	}

	d = h.converse(t, "serve")
	d.expect(asks)
	d.enter(thyme + "\n")
	d.expect("try again")
	d.expect(asks)
	d.enter(sesame + "\n")
	d.expect("hello.localhost")
	d.enter(ctrlC)
	d.end(0)

	d = h.converse(t, "ca", "passphrase", "--remove")
	d.expect(asks)
	d.enter(sesame + "\n")
	d.expect("has no passphrase any more")
	d.end(0)
	if read(t, h.caFile()) != plain {
		t.Error("without a passphrase it is not what it was")
	}
}
