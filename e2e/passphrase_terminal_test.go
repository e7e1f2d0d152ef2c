package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A dialogue is a session in which devproxy asks for secrets. The terminal is
// the controlling one, so that Ctrl-C is a signal.
type dialogue struct {
	*session
	t    *testing.T
	seen int // how far what is shown was looked at
}

func (h *home) converse(t *testing.T, args ...string) *dialogue {
	t.Helper()
	cmd := h.command(t, os.Getenv(envBinary), args...)
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	return &dialogue{session: onSession(t, cmd), t: t}
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
	state, err := unix.IoctlGetTermios(int(d.master.Fd()), unix.TCGETS)
	if err != nil {
		d.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// suspend stops devproxy and has it go on, as Ctrl-Z and fg of a shell do, which
// takes the terminal for itself in between.
func (d *dialogue) suspend() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(unix.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
	fd := int(d.master.Fd())
	state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		d.t.Fatal(err)
	}
	state.Lflag |= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, state); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Process.Signal(unix.SIGCONT); err != nil {
		d.t.Fatal(err)
	}
}

// end waits for the end of devproxy, after which the terminal is as it was and
// has shown no secret.
func (d *dialogue) end(code int, secrets ...string) {
	d.t.Helper()
	shown := d.session.end(d.t).must(d.t, code).stderr
	if !d.echoes() {
		d.t.Error("the terminal does not show any more what is typed")
	}
	for _, secret := range secrets {
		if strings.Contains(shown, secret) {
			d.t.Errorf("the terminal has shown %q: %q", secret, shown)
		}
	}
}

// TestPassphraseTerminal answers questions as a person does.
func TestPassphraseTerminal(t *testing.T) {
	const (
		ctrlC  = "\x03"
		quit   = "\x1c" // Ctrl-\
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
	d.end(1, sesame, thyme)
	for _, at := range []string{asksIt, "The same again: "} {
		d = h.converse(t, "ca", "passphrase")
		d.expect(asksIt)
		if at != asksIt {
			d.enter(sesame + "\n")
			d.expect(at)
		}
		d.enter(ctrlC)
		d.expect("interrupted")
		d.end(1, sesame, thyme)
	}
	if read(t, h.caFile()) != plain {
		t.Error("the CA has changed")
	}
	d = h.converse(t, "ca", "passphrase")
	d.expect(asksIt)
	d.suspend()
	d.expect(asksIt)
	d.enter(sesame + "\n")
	d.expect("The same again: ")
	d.suspend()
	d.expect("The same again: ")
	d.enter(sesame + "\n")
	d.expect("has a passphrase now")
	d.end(0, sesame, thyme)
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
	d.end(1, sesame, thyme)
	for _, command := range []string{"serve", "trust", "ca rotate"} {
		d = h.converse(t, strings.Fields(command)...)
		d.expect(asks)
		d.enter(ctrlC)
		d.expect("interrupted")
		d.end(1, sesame, thyme)
	}
	d = h.converse(t, "ca", "passphrase")
	d.expect(asks)
	d.enter(quit)
	d.expect("interrupted")
	d.end(1)
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
	d.end(0, sesame, thyme)

	d = h.converse(t, "ca", "passphrase", "--remove")
	d.expect(asks)
	d.enter(sesame + "\n")
	d.expect("has no passphrase any more")
	d.end(0, sesame, thyme)
	if read(t, h.caFile()) != plain {
		t.Error("without a passphrase it is not what it was")
	}
}
