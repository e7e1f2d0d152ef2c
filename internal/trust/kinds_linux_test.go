package trust

import (
	"path/filepath"
	"testing"
)

// What a store writes into its receipts leads back to it.
func TestKinds(t *testing.T) {
	m := newMachine(t)
	stores := []store{m.debian(), m.database("Firefox", filepath.Join(m.cfg.Home, "db"))}
	if got, want := len(systemKinds), len(stores); got != want {
		t.Errorf("%d kinds, and this test knows %d", got, want)
	}
	root, file := newRoot(t)
	for _, s := range stores {
		r := receiptOf(s, anchorFor(t, root, file))
		again := m.reopen(r)
		if again == nil {
			t.Errorf("%s: not opened", r.Kind)
			continue
		}
		name, location := again.label()
		if again.kind() != r.Kind || name != r.Store || location != r.Location {
			t.Errorf("got %s, %s at %s, want %s, %s at %s", again.kind(), name, location, r.Kind, r.Store, r.Location)
		}
	}
	// Root deletes files there, so no receipt says where that is.
	r := receiptOf(m.debian(), anchorFor(t, root, file))
	r.Location = m.cfg.Home
	if s := m.reopen(r); s != nil {
		t.Errorf("opened a system store at %s", r.Location)
	}
}
