package trust

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A process killed in the middle of a change must leave a receipt.
func TestReceiptComesFirst(t *testing.T) {
	root, file := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	var recorded []receipt
	s.onChange = func() {
		recorded = mustLoad(t, m)
		info, err := os.Stat(m.receipts.file())
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("receipts have mode %o, want 600", got)
		}
		panic("killed")
	}
	func() {
		defer func() { recover() }()
		m.Install(t.Context(), root, file)
	}()
	if len(recorded) != 1 || recorded[0].sum() != sha256.Sum256(root.Raw) {
		t.Fatalf("when the store was changed the receipts were %+v", recorded)
	}
}

// Who watches the receipts must see a change when the store has one, not only
// when it is about to.
func TestReceiptIsConfirmed(t *testing.T) {
	root, file := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	s.onChange = func() {
		if r := mustLoad(t, m)[0]; !r.Verified.IsZero() || r.Time.IsZero() {
			t.Errorf("before: got %+v", r)
		}
	}
	mustInstall(t, m, root, file)
	if r := mustLoad(t, m)[0]; r.Verified.IsZero() {
		t.Errorf("after: got %+v, want it verified", r)
	}
	if got := ReceiptsPath(m.cfg.State); !exists(got) {
		t.Errorf("nothing at %s", got)
	}
}

// With the state folder lost, the next Install makes Remove possible again.
func TestLostReceiptsComeBack(t *testing.T) {
	root, file := newRoot(t)
	s := newShelf("/shelf")
	m := newMachine(t, s)
	mustInstall(t, m, root, file)
	if err := os.RemoveAll(m.cfg.State); err != nil {
		t.Fatal(err)
	}
	if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted || got.Changed || s.changes != 1 {
		t.Errorf("got %+v after %d changes", got, s.changes)
	}
	if n := len(mustLoad(t, m)); n != 1 {
		t.Errorf("%d receipts, want 1", n)
	}
}

func TestDamagedReceiptsAreKept(t *testing.T) {
	good := `{"kind":"nss","store":"Firefox","location":"/db","name":"devproxy-0000000000000000","fingerprint":"` +
		strings.Repeat("0", 64) + `","time":"2026-01-01T00:00:00Z"}`
	if _, err := parseReceipts([]byte(`{"version":1,"receipts":[` + good + `]}`)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":           ``,
		"cut off":         `{"version":1,"receipts":[{"kind"`,
		"no version":      `{"receipts":[]}`,
		"two values":      `{"version":1}{}`,
		"other name":      `{"version":1,"receipts":[` + strings.Replace(good, "devproxy-0", "../../etc/", 1) + `]}`,
		"relative folder": `{"version":1,"receipts":[` + strings.Replace(good, `"/db"`, `"db"`, 1) + `]}`,
		"folder with ..":  `{"version":1,"receipts":[` + strings.Replace(good, `"/db"`, `"/db/../etc"`, 1) + `]}`,
		"fingerprint":     `{"version":1,"receipts":[` + strings.Replace(good, strings.Repeat("0", 64), "12", 1) + `]}`,
		"large":           `{"version":1,"x":"` + strings.Repeat("x", maxReceipts) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			root, file := newRoot(t)
			s := newShelf("/shelf")
			m := newMachine(t, s)
			writeFile(t, m.receipts.file(), []byte(text))
			if _, err := m.PlanRemove(t.Context()); err == nil {
				t.Error("PlanRemove: got no error")
			}
			if got, _ := os.ReadFile(m.receipts.file()); string(got) != text {
				t.Error("PlanRemove changed the receipts")
			}
			if _, err := m.Install(t.Context(), root, file); err == nil || s.changes != 0 {
				t.Errorf("Install: got error %v after %d changes, want an error, no change", err, s.changes)
			}
			aside := m.receipts.aside()
			if len(aside) != 1 {
				t.Fatalf("kept aside: %q, want one file", aside)
			}
			if got, _ := os.ReadFile(aside[0]); string(got) != text {
				t.Errorf("kept %q, want %q", got, text)
			}
			if got := only(t, mustInstall(t, m, root, file)); got.State != Trusted {
				t.Errorf("next Install: got %+v, want trusted", got)
			}
			all := mustRemove(t, m)
			if !slices.ContainsFunc(all, func(s Status) bool { return s.Location == aside[0] && s.State == Unknown }) {
				t.Errorf("Remove: got %+v, want a word on %s", all, aside[0])
			}
		})
	}
}

func TestNewerReceiptsStay(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t, newShelf("/shelf"))
	writeFile(t, m.receipts.file(), []byte(`{"version":2,"vault":[]}`))
	_, err := m.Install(t.Context(), root, file)
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got error %v, want one about a newer devproxy", err)
	}
	if !exists(m.receipts.file()) {
		t.Error("the receipts were moved")
	}
}

func FuzzParseReceipts(f *testing.F) {
	f.Add([]byte(`{"version":1,"receipts":[{"kind":"nss","location":"/db","name":"devproxy-0000000000000000","fingerprint":"` +
		strings.Repeat("0", 64) + `"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"receipts":[{"kind":"nss-client","store":"Firefox","location":"/db","name":"devproxy-0000000000000000","fingerprint":"` +
		strings.Repeat("0", 64) + `","made":["/db"],"time":"2026-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseReceipts(data)
		if err != nil {
			return
		}
		for _, r := range all {
			if filepath.Base(r.Name) != r.Name || !strings.HasPrefix(r.Name, namePrefix) || !filepath.IsAbs(r.Location) {
				t.Errorf("%q: accepted %+v", data, r)
			}
			if r.sum().String() != strings.ToLower(r.Fingerprint) {
				t.Errorf("%q: fingerprint reads back as %s", data, r.sum())
			}
		}
	})
}
