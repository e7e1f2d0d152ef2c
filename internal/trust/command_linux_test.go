package trust

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestRunCommand(t *testing.T) {
	t.Setenv("SSL_DIR", "sql:/elsewhere")
	r, err := runCommand(t.Context(), "/bin/sh", "-c", "env; cat; echo words >&2; exit 3")
	if err != nil || r.code != 3 || r.errs != "words\n" {
		t.Errorf("got %+v, %v, want status 3, words", r, err)
	}
	if strings.Contains(r.out, "SSL_DIR") || !strings.Contains(r.out, "LC_ALL=C\n") {
		t.Errorf("environment: %s", r.out)
	}
	// Its own session has no terminal: fields 4 to 6 of proc_pid_stat(5) are
	// parent, group and session.
	r, err = runCommand(t.Context(), "/bin/sh", "-c", "cat /proc/$$/stat")
	if f := strings.Fields(r.out); err != nil || len(f) < 6 || f[5] != f[0] {
		t.Errorf("not the leader of a session: %+v, %v", r, err)
	}
	if _, err := runCommand(t.Context(), "/nonexistent/program"); err == nil {
		t.Error("a program that is not there: got no error")
	}
}

// A helper that hangs is ended together with its children.
func TestRunCommandIsBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := runCommand(ctx, "/bin/sh", "-c", "sleep 60 & sleep 60")
	if err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("got error %v, want one about time", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := runCommand(ctx, "/bin/true"); err == nil {
		t.Error("cancelled: got no error")
	}
}

func TestLookUp(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	build(t, first, "certutil/")
	writeFile(t, second+"/certutil", nil)
	path := strings.Join([]string{"", ".", first, second}, string(os.PathListSeparator))
	if got := lookUp(path, "certutil"); got != "" {
		t.Errorf("got %q, want nothing: no file can be run", got)
	}
	if err := os.Chmod(second+"/certutil", 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := lookUp(path, "absent", "certutil"), second+"/certutil"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Chdir(second)
	if got := lookUp(".", "certutil"); got != "" {
		t.Errorf("got %q from a relative folder", got)
	}
}
