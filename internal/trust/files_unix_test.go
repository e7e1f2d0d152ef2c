//go:build unix

package trust

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestNobodyIsToldToChownTheSystem: a home or a profile that points to a
// folder of the system must not end in chown -R of it.
func TestNobodyIsToldToChownTheSystem(t *testing.T) {
	const somebody = 54321
	for _, path := range []string{"/", "/etc"} {
		p, ok := errors.AsType[*problem](ownedBy(path, somebody))
		if !ok {
			t.Fatalf("%s was accepted", path)
		}
		if strings.Contains(p.fix, "chown") {
			t.Errorf("%s: fix %q", path, p.fix)
		}
	}
}

func TestReceiptsInAPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, receiptsName), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (receipts{dir: dir}).load(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v, want a refusal", err)
	}
}
