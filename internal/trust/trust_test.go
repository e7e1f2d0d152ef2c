package trust

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"devproxy/internal/elevate"
)

// newRoot returns a fresh root and the PEM file that holds it.
func newRoot(t testing.TB) (*x509.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("devproxy test %x", serial)},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root.pem")
	writeFile(t, file, rootPEM(root))
	return root, file
}

func rootPEM(root *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
}

func anchorFor(t testing.TB, root *x509.Certificate, file string) anchor {
	t.Helper()
	a, err := newAnchor(root, file)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// writeFile writes a file and the folders it needs.
func writeFile(t testing.TB, file string, data []byte) {
	t.Helper()
	mkdir(t, filepath.Dir(file))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// build makes one thing below dir: "folder/", "file", "file=text", in which
// HOME stands for dir, or "link->target". Files in folders called bin can be
// run.
func build(t testing.TB, home, what string) {
	t.Helper()
	if link, target, ok := strings.Cut(what, "->"); ok {
		if err := os.Symlink(target, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
		return
	}
	path, text, _ := strings.Cut(what, "=")
	if strings.HasSuffix(path, "/") {
		mkdir(t, filepath.Join(home, path))
		return
	}
	file := filepath.Join(home, path)
	writeFile(t, file, []byte(strings.ReplaceAll(text, "HOME", home)))
	if filepath.Base(filepath.Dir(file)) == "bin" {
		if err := os.Chmod(file, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// shelf is a fake store: a set of fingerprints.
type shelf struct {
	place      string
	held       map[fingerprint]bool
	verifyErr  error
	installErr error
	removeErr  error
	onChange   func()
	changes    int
	roots      *x509.CertPool
}

func newShelf(place string) *shelf { return &shelf{place: place, held: map[fingerprint]bool{}} }

func (s *shelf) label() (string, string) { return "Shelf", s.place }

func (s *shelf) kind() string { return "shelf" }

func (s *shelf) verify(_ context.Context, a anchor) (finding, error) {
	switch {
	case s.verifyErr != nil:
		return finding{}, s.verifyErr
	case s.held[a.sum]:
		return finding{state: Trusted, ours: true, roots: s.roots}, nil
	}
	return finding{state: NotTrusted}, nil
}

func (s *shelf) change() {
	s.changes++
	if s.onChange != nil {
		s.onChange()
	}
}

func (s *shelf) install(_ context.Context, a anchor) error {
	s.change()
	if s.installErr == nil {
		s.held[a.sum] = true
	}
	return s.installErr
}

func (s *shelf) remove(_ context.Context, as []anchor) (removed bool, err error) {
	s.change()
	if s.removeErr == nil {
		for _, a := range as {
			removed = removed || s.held[a.sum]
			delete(s.held, a.sum)
		}
	}
	return removed, s.removeErr
}

func (s *shelf) gone(ctx context.Context, a anchor) (finding, error) { return s.verify(ctx, a) }

func (s *shelf) plan(context.Context, anchor) []Step {
	return []Step{{Store: "Shelf", Location: s.place, File: s.place}}
}

func (s *shelf) planRemove(context.Context, []anchor) []Step {
	return s.plan(context.Background(), anchor{})
}

// newMachine returns a Machine on an empty file system and home.
func newMachine(t testing.TB, stores ...store) *Machine {
	t.Helper()
	dir := t.TempDir()
	m, err := Open(Config{
		State:      filepath.Join(dir, "state"),
		Home:       filepath.Join(dir, "home"),
		ConfigHome: filepath.Join(dir, "home/.config"),
		DataHome:   filepath.Join(dir, "home/.local/share"),
		Root:       filepath.Join(dir, "root"),
	})
	if err != nil {
		t.Fatal(err)
	}
	mkdir(t, m.cfg.Home)
	mkdir(t, m.cfg.Root)
	if stores != nil {
		finds(m, stores...)
	}
	return m
}

// finds makes m find stores and nothing else. What its receipts name m opens as
// before.
func finds(m *Machine, stores ...store) {
	kinds := []kind{{find: func(*Machine, anchor) ([]store, []Status) { return stores, nil }}}
	for _, k := range m.kinds {
		kinds = append(kinds, kind{name: k.name, find: findNone, reopen: k.reopen})
	}
	m.kinds = kinds
}

// reopens makes m take receipts of s's kind for ones of s.
func reopens(m *Machine, s store) {
	m.kinds = append(m.kinds, kind{name: s.kind(), find: findNone, reopen: func(*Machine, receipt) store { return s }})
}

func findNone(*Machine, anchor) ([]store, []Status) { return nil, nil }

func mustInstall(t testing.TB, m *Machine, root *x509.Certificate, file string) []Status {
	t.Helper()
	all, err := m.Install(t.Context(), root, file)
	if err != nil {
		t.Fatalf("Install: %v", err)
	}
	return all
}

func mustRemove(t testing.TB, m *Machine) []Status {
	t.Helper()
	all, err := m.Remove(t.Context())
	if err != nil {
		t.Fatalf("Remove: %v", err)
	}
	return all
}

func mustLoad(t testing.TB, m *Machine) []receipt {
	t.Helper()
	all, err := m.receipts.load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// only returns the one status that all must hold.
func only(t testing.TB, all []Status) Status {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("got %d statuses, want 1: %+v", len(all), all)
	}
	return all[0]
}

func TestOneFailureDoesNotStopOthers(t *testing.T) {
	root, file := newRoot(t)
	first, blind, last := newShelf("/first"), newShelf("/blind"), newShelf("/last")
	first.installErr = &problem{detail: "full", fix: "tidy up", commands: []elevate.Command{{"/bin/tidy"}}}
	blind.verifyErr = errors.New("dark")
	m := newMachine(t, first, blind, last)
	all := mustInstall(t, m, root, file)
	if len(all) != 3 {
		t.Fatalf("got %d statuses, want 3", len(all))
	}
	if got := all[0]; got.State != NotTrusted || got.Detail != "full" || got.Fix != "tidy up" || len(got.Commands) != 1 || got.Changed {
		t.Errorf("first: got %+v", got)
	}
	if got := all[1]; got.State != Unknown || got.Detail != "dark" || blind.changes != 0 {
		t.Errorf("blind: got %+v after %d changes, want unknown, untouched", got, blind.changes)
	}
	if got := all[2]; got.State != Trusted || !got.Changed {
		t.Errorf("last: got %+v, want trusted", got)
	}
}

func TestSecondInstallChangesNothing(t *testing.T) {
	root, file := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	mustInstall(t, m, root, file)
	before, err := os.ReadFile(m.receipts.file())
	if err != nil {
		t.Fatal(err)
	}
	got := only(t, mustInstall(t, m, root, file))
	if got.State != Trusted || got.Changed || s.changes != 1 {
		t.Errorf("got %+v after %d changes, want trusted, unchanged, 1", got, s.changes)
	}
	if after, _ := os.ReadFile(m.receipts.file()); !bytes.Equal(before, after) {
		t.Errorf("receipts changed from %s to %s", before, after)
	}
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil || len(steps) != 0 {
		t.Errorf("Plan: got %+v, %v, want nothing", steps, err)
	}
}

func TestUnrecordableMeansUntouched(t *testing.T) {
	root, file := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	// A folder in the place of the file: nobody, root included, can replace it.
	mkdir(t, m.receipts.file())
	all, err := m.Install(t.Context(), root, file)
	if err == nil && only(t, all).State == Trusted || s.changes != 0 {
		t.Errorf("got %+v, %v after %d changes, want no change", all, err, s.changes)
	}
}

func TestRemoveUsesReceiptsOnly(t *testing.T) {
	m := newMachine(t)
	if got := mustRemove(t, m); got != nil {
		t.Errorf("Remove without receipts: got %+v, want nothing", got)
	}
	if exists(m.cfg.State) {
		t.Error("Remove without receipts made the state folder")
	}
}

func TestForeignKindStays(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t, newShelf("/shelf"))
	mustInstall(t, m, root, file)
	got := only(t, mustRemove(t, m))
	if got.State != Unknown || got.Fix == "" {
		t.Errorf("got %+v, want unknown with a fix", got)
	}
	if n := len(mustLoad(t, m)); n != 1 {
		t.Errorf("%d receipts, want 1", n)
	}
}

func TestRemoveKeepsReceiptOfWhatStays(t *testing.T) {
	one, oneFile := newRoot(t)
	two, twoFile := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	mkdir(t, m.cfg.State)
	for _, a := range []anchor{anchorFor(t, one, oneFile), anchorFor(t, two, twoFile)} {
		if err := m.receipts.add(receiptOf(s, a)); err != nil {
			t.Fatal(err)
		}
	}
	s.held[sha256.Sum256(two.Raw)] = true
	s.removeErr = errors.New("stuck")
	reopens(m, s)
	got := only(t, mustRemove(t, m))
	if got.State != Trusted || got.Detail != "stuck" || got.Changed {
		t.Errorf("got %+v, want trusted, stuck", got)
	}
	left := mustLoad(t, m)
	if len(left) != 1 || left[0].sum() != sha256.Sum256(two.Raw) {
		t.Fatalf("receipts left: %+v, want the one of the root that stays", left)
	}

	s.removeErr = nil
	if got := only(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed {
		t.Errorf("got %+v, want not trusted, changed", got)
	}
	if exists(m.receipts.file()) {
		t.Error("the receipts file outlived its last receipt")
	}
}

// "removed" is said of what was there and of nothing else.
func TestRemoveChanged(t *testing.T) {
	one, oneFile := newRoot(t)
	two, twoFile := newRoot(t)
	for name, tc := range map[string]struct {
		held     []*x509.Certificate // of the two that have receipts
		prepare  func(s *shelf)
		state    State
		changed  bool
		receipts int
	}{
		"both there":      {held: []*x509.Certificate{one, two}, state: NotTrusted, changed: true},
		"one there":       {held: []*x509.Certificate{two}, state: NotTrusted, changed: true},
		"never installed": {state: NotTrusted},
		"unreadable before, empty": {
			prepare: func(s *shelf) {
				s.verifyErr = errors.New("dark")
				s.onChange = func() { s.verifyErr = nil }
			},
			state: NotTrusted,
		},
		"unreadable before, held": {
			held: []*x509.Certificate{one},
			prepare: func(s *shelf) {
				s.verifyErr = errors.New("dark")
				s.onChange = func() { s.verifyErr = nil }
			},
			state: NotTrusted, changed: true,
		},
		"unreadable": {
			held:    []*x509.Certificate{one},
			prepare: func(s *shelf) { s.verifyErr = errors.New("dark") },
			state:   Unknown, receipts: 2,
		},
		"stuck": {
			held:    []*x509.Certificate{one, two},
			prepare: func(s *shelf) { s.removeErr = errors.New("stuck") },
			state:   Trusted, receipts: 2,
		},
	} {
		s := newShelf("/shelf")
		m := newMachine(t)
		reopens(m, s)
		mkdir(t, m.cfg.State)
		for _, a := range []anchor{anchorFor(t, one, oneFile), anchorFor(t, two, twoFile)} {
			if err := m.receipts.add(receiptOf(s, a)); err != nil {
				t.Fatal(err)
			}
		}
		for _, root := range tc.held {
			s.held[sha256.Sum256(root.Raw)] = true
		}
		if tc.prepare != nil {
			tc.prepare(s)
		}
		got := only(t, mustRemove(t, m))
		if got.State != tc.state || got.Changed != tc.changed {
			t.Errorf("%s: got %+v, want %v, changed %v", name, got, tc.state, tc.changed)
		}
		if n := len(mustLoad(t, m)); n != tc.receipts {
			t.Errorf("%s: %d receipts, want %d", name, n, tc.receipts)
		}
	}
}

func TestInstallChecksTheFile(t *testing.T) {
	root, file := newRoot(t)
	other, otherFile := newRoot(t)
	both := filepath.Join(t.TempDir(), "both.pem")
	writeFile(t, both, append(rootPEM(root), rootPEM(other)...))
	for _, bad := range []string{otherFile, both, filepath.Base(file), file + ".absent"} {
		s := newShelf("/shelf")
		if all, err := newMachine(t, s).Install(t.Context(), root, bad); err == nil || s.changes != 0 {
			t.Errorf("Install with %s: got %+v, %v", bad, all, err)
		}
	}
}

func TestProcessesTakeTurns(t *testing.T) {
	root, file := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	mkdir(t, m.cfg.State)
	unlock, err := m.receipts.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("no store, no lock")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := m.Install(ctx, root, file); err == nil || s.changes != 0 {
		t.Errorf("got error %v after %d changes while another process holds the lock", err, s.changes)
	}
	unlock()
	if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted {
		t.Errorf("got %+v, want trusted", got)
	}
}

func TestPlanListsReceiptsFirst(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t, newShelf("/shelf"))
	steps, err := m.Plan(t.Context(), root, file)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 2 || steps[0].File != m.receipts.file() || steps[1].File != "/shelf" {
		t.Errorf("got %+v", steps)
	}
	if _, err := os.Stat(m.cfg.State); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Plan made the state folder")
	}
}

func TestOpenNeedsState(t *testing.T) {
	if _, err := Open(Config{State: "state"}); err == nil {
		t.Error("got no error for a relative state folder")
	}
}

func TestStateString(t *testing.T) {
	for state, want := range map[State]string{Trusted: "trusted", NotTrusted: "not trusted", Unknown: "unknown"} {
		if got := state.String(); got != want {
			t.Errorf("%d: got %q, want %q", state, got, want)
		}
	}
}
