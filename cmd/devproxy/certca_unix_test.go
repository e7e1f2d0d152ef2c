//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"devproxy/internal/issuer"
)

// TestCAWhilePassphraseIsGiven has the CA taken away, or replaced, while a command
// that signs waits for its passphrase: none is made, and the old one signs nothing.
func TestCAWhilePassphraseIsGiven(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if _, _, err := issuer.LoadOrCreate(other, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(ca string) error
		want   string
	}{
		{"taken away", os.Remove, "there is none yet"},
		{"replaced", func(ca string) error { return os.Rename(issuer.Path(other), ca) }, "replaced the CA meanwhile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			if _, _, err := issuer.LoadOrCreate(state, nil); err != nil {
				t.Fatal(err)
			}
			lock(t, state)
			pipe := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			a := newApp([]string{"devproxy"}, func(name string) string {
				return map[string]string{"DEVPROXY_HOME": state, passphraseFileVar: pipe}[name]
			}, nil, io.Discard, io.Discard)
			done := make(chan error, 1)
			go func() {
				_, _, err := a.certCA(t.Context())
				done <- err
			}()
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until it is read
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.change(issuer.Path(state)); err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(w, sesame+"\n")
			w.Close()
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if _, err := os.Stat(issuer.Path(state)); tt.name == "taken away" && !errors.Is(err, fs.ErrNotExist) {
				t.Error("a CA was made")
			}
		})
	}
}

// TestWaitingEnds interrupts commands that read a pipe into which nobody writes.
func TestWaitingEnds(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if _, _, err := issuer.LoadOrCreate(state, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pipe, out := filepath.Join(dir, "pipe.pem"), filepath.Join(dir, "out")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := newApp([]string{"devproxy"}, func(name string) string {
		return map[string]string{"DEVPROXY_HOME": state}[name]
	}, nil, io.Discard, io.Discard)
	for _, args := range [][]string{
		{"cert", "sign", pipe, "--cert-file", out},
		{"cert", "show", pipe},
		{"cert", "issue", "--client", "alice@example.com", "--password-file", pipe, "--p12-file", out + ".p12", "--cert-file", out, "--key-file", out + ".key"},
	} {
		cmd := a.rootCommand()
		cmd.SetArgs(args)
		ended := make(chan error, 1)
		go func() { ended <- cmd.ExecuteContext(ctx) }()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) && !errors.Is(err, errInterrupted) {
				t.Errorf("%v: %v", args, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%v goes on waiting", args)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("there are %v, %v; want the pipe alone", files, err)
	}
}
