package issuer

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"devproxy/internal/atomicfile"
)

// withPassphrase puts the CA of kept into a new folder.
func withPassphrase(t *testing.T) (dir string) {
	t.Helper()
	dir = put(t, kept().open)
	if err := atomicfile.Replace(RootPath(dir), kept().plain.rootPEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// opened is what Prepare gets from those who know the passphrase.
func opened(*CA) (*CA, error) { return kept().open, nil }

// opener returns what Prepare asks for the key of the old CA.
func opener(passphrase string) func(*CA) (*CA, error) {
	return func(ca *CA) (*CA, error) { return ca.Unlock([]byte(passphrase)) }
}

// TestRotatePassphrase: the passphrase goes over to the new CA, which never
// lies there without.
func TestRotatePassphrase(t *testing.T) {
	dir, old := withPassphrase(t), kept().open
	for what, open := range map[string]func(*CA) (*CA, error){
		"wrong": opener("wrong"), "none": nil,
		"not opened": func(ca *CA) (*CA, error) { return ca, nil },
	} {
		if p, err := Prepare(t.Context(), dir, nil, open, nil); p != nil || !errors.Is(err, ErrPassphrase) && !errors.Is(err, errLocked) {
			t.Errorf("%s: %v, %v", what, p, err)
		}
		checkFiles(t, dir, caFile, rootFile)
	}
	first, err := Prepare(t.Context(), dir, []string{"b.example"}, opened, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.CA().Locked() || !first.CA().HasPassphrase() || first.Old().Locked() {
		t.Error("the CAs are not both open, with a passphrase")
	}
	if bytes.Contains(readFile(t, first.path(pendingFile)), []byte("BEGIN "+typeKey)) {
		t.Errorf("%s holds the key without a passphrase", pendingFile)
	}
	first.Close() // stopped half way

	again, err := Prepare(t.Context(), dir, []string{"b.example"}, opened, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.Resumed() || !sameRoot(again.CA(), first.CA()) {
		t.Error("the CA that was left has not been taken over")
	}
	ca, err := again.Commit()
	if err != nil || sameRoot(ca, old) {
		t.Fatalf("Commit: %v", err)
	}
	now := consistent(t, dir)
	if !sameRoot(now, ca) || !now.Locked() {
		t.Error("not the new CA, with a passphrase")
	}
	if got, err := now.UnlockAs(old); err != nil || !got.key.Equal(ca.key) {
		t.Errorf("the passphrase of the old one does not open it: %v", err)
	}
}

// TestResumePassphrase: what is left of a rotation is taken over only with the
// passphrase that the CA has now.
func TestResumePassphrase(t *testing.T) {
	dir := withPassphrase(t)
	left := makeCA(t, "a.example")
	for what, tt := range map[string]struct {
		passphrase string
		want       bool
	}{"the same": {sesame, true}, "another": {"another", false}, "none": {"", false}} {
		with, err := left.seal([]byte(tt.passphrase))
		if err != nil {
			t.Fatal(err)
		}
		if err := atomicfile.Replace(filepath.Join(dir, pendingFile), encoded(t, with), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Prepare(t.Context(), dir, nil, opened, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Resumed() != tt.want || !p.CA().HasPassphrase() {
			t.Errorf("%s: taken over %v, want %v; passphrase %v", what, p.Resumed(), tt.want, p.CA().HasPassphrase())
		}
		p.Close()
	}
	plainDir, _ := create(t)
	if err := atomicfile.Replace(filepath.Join(plainDir, pendingFile), kept().data, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := prepare(t, plainDir, "a.example"); p.Resumed() || p.CA().HasPassphrase() {
		t.Error("one with a passphrase follows one without")
	}
}

// TestCommitPassphrase: the passphrase changes between Prepare and Commit, as
// where folders cannot be locked.
func TestCommitPassphrase(t *testing.T) {
	dir := put(t, kept().plain)
	p := prepare(t, dir)
	data := kept().data
	if err := atomicfile.Replace(Path(dir), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Commit(); got != nil || err == nil {
		t.Errorf("Commit: %v, %v; want an error", got, err)
	}
	if !bytes.Equal(readFile(t, Path(dir)), data) {
		t.Error("a CA without a passphrase has replaced one with")
	}
}

func TestPrepareExpiredPassphrase(t *testing.T) {
	old, err := newCA(NewConstraints([]string{"a.example"}), time.Now().AddDate(-caYears, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	if old, err = old.seal([]byte(sesame)); err != nil {
		t.Fatal(err)
	}
	dir := put(t, old)
	if _, err := Prepare(t.Context(), dir, nil, nil, nil); !errors.Is(err, errLocked) {
		t.Errorf("without a passphrase: %v", err)
	}
	p, err := Prepare(t.Context(), dir, nil, func(*CA) (*CA, error) { return old, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Old() != nil || !p.CA().HasPassphrase() || len(p.CA().Constraints().Missing([]string{"a.example"})) > 0 {
		t.Error("the new CA does not take over domain and passphrase of the expired one")
	}
}
