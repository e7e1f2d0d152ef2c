package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
)

// TestHandshakeDecides: what a store says of itself is not enough, and a store
// that holds the root already is not written to again for nothing.
func TestHandshakeDecides(t *testing.T) {
	root, file := newRoot(t)
	refusal := errors.New("unknown authority")
	for _, tt := range []struct {
		name    string
		verdict error
		want    State
		detail  string
	}{
		{"accepted", nil, Trusted, ""},
		{"refused", refusal, NotTrusted, "holds the root, but a handshake through it failed: unknown authority"},
	} {
		shelf := newShelf("/shelf")
		shelf.roots = x509.NewCertPool()
		m := newMachine(t, shelf)
		asked := 0
		m.cfg.Handshake = func(_ context.Context, roots *x509.CertPool) error {
			asked++
			if roots != shelf.roots {
				t.Errorf("%s: the handshake is not made with what the store holds", tt.name)
			}
			return tt.verdict
		}
		if before := m.Status(t.Context(), root); before[0].State != NotTrusted || asked != 0 {
			t.Errorf("%s: before: %+v after %d handshakes, want not trusted after none", tt.name, before[0], asked)
		}
		for run := range 2 {
			got := mustInstall(t, m, root, file)[0]
			if got.State != tt.want || got.Detail != tt.detail || got.Changed != (tt.want == Trusted && run == 0) {
				t.Errorf("%s, run %d: %+v, want %v with %q", tt.name, run, got, tt.want, tt.detail)
			}
		}
		if shelf.changes != 1 {
			t.Errorf("%s: the store was written to %d times, want once", tt.name, shelf.changes)
		}
		if got := m.Status(t.Context(), root)[0]; got.State != tt.want {
			t.Errorf("%s: Status says %v, want %v", tt.name, got.State, tt.want)
		}
	}
}

// TestRemovePart: a rotation takes out what the new root supersedes, or the
// new root where it is given up, and nothing else.
func TestRemovePart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		remove func(m *Machine, old, next *x509.Certificate) ([]Status, error)
		old    bool // is left
	}{
		{"others", func(m *Machine, _, next *x509.Certificate) ([]Status, error) {
			return m.RemoveOthers(t.Context(), next)
		}, false},
		{"only", func(m *Machine, _, next *x509.Certificate) ([]Status, error) { return m.RemoveOnly(t.Context(), next) }, true},
	} {
		shelf := newShelf("/shelf")
		m := newMachine(t, shelf)
		reopens(m, shelf)
		old, oldFile := newRoot(t)
		next, nextFile := newRoot(t)
		mustInstall(t, m, old, oldFile)
		mustInstall(t, m, next, nextFile)
		all, err := tt.remove(m, old, next)
		if err != nil || len(all) != 1 || all[0].State != NotTrusted || !all[0].Changed {
			t.Errorf("%s: %+v, %v; want one store changed", tt.name, all, err)
		}
		if got := m.Status(t.Context(), old)[0].State == Trusted; got != tt.old {
			t.Errorf("%s: old root trusted %v, want %v", tt.name, got, tt.old)
		}
		if got := m.Status(t.Context(), next)[0].State == Trusted; got == tt.old {
			t.Errorf("%s: new root trusted %v, want %v", tt.name, got, !tt.old)
		}
		left, err := m.receipts.load()
		if err != nil || len(left) != 1 {
			t.Errorf("%s: receipts %+v, %v; want one", tt.name, left, err)
		}
		if again, err := tt.remove(m, old, next); err != nil || len(again) != 0 {
			t.Errorf("%s: a second time %+v, %v; want nothing to do", tt.name, again, err)
		}
	}
}
