package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"devproxy/internal/elevate"
)

// TestLostReceipts: what has a name of ours in a person's own store is theirs
// to remove, whatever became of the receipts.
func TestLostReceipts(t *testing.T) {
	for _, lose := range []struct {
		name string
		do   func(*Machine) error
	}{
		{"the file", func(m *Machine) error { return os.Remove(m.receipts.file()) }},
		{"the folder", func(m *Machine) error { return os.RemoveAll(m.cfg.State) }},
	} {
		root, file := newRoot(t)
		other, _ := newRoot(t)
		m, _, d := newFakeNSS(t)
		makeDatabase(t, d)
		addAs(t, d, "mine", other)
		mustInstall(t, m, root, file)
		if err := lose.do(m); err != nil {
			t.Fatal(err)
		}
		steps, err := m.PlanRemove(t.Context())
		if err != nil || len(steps) == 0 {
			t.Errorf("%s: PlanRemove: %+v, %v; want the database", lose.name, steps, err)
		}
		if got := only(t, mustRemove(t, m)); got.State != NotTrusted || !got.Changed {
			t.Errorf("%s: Remove: got %+v, want removed", lose.name, got)
		}
		if left := rootsOf(t, d); len(left) != 1 {
			t.Errorf("%s: roots %q are left, want the person's own", lose.name, left)
		}
	}
}

// TestRefusalIsRemembered: who says no is asked once, and again by the next
// call.
func TestRefusalIsRemembered(t *testing.T) {
	m := newMachine(t)
	asked := 0
	m.cfg.Elevate = func(context.Context, string, []elevate.Command) error {
		asked++
		return fmt.Errorf("%w: no", elevate.ErrUnavailable)
	}
	command := []elevate.Command{{"/bin/true"}}
	for range 2 {
		err := m.privileged(t.Context(), "do it", command)
		if p, ok := errors.AsType[*problem](err); !ok || len(p.commands) != 1 {
			t.Errorf("got %v, want a problem with the command", err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	root, file := newRoot(t)
	mustInstall(t, m, root, file)
	if m.refused != nil {
		t.Error("the next call remembers the refusal of another")
	}
}

func TestWaitingIsTold(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t, newShelf("/shelf"))
	mustInstall(t, m, root, file)
	unlock, err := m.receipts.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	m.receipts.waiting = func() {
		told++
		unlock()
	}
	mustInstall(t, m, root, file)
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}
