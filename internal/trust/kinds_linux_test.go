package trust

import (
	"path/filepath"
	"slices"
	"testing"
)

// What a store writes into its receipts leads back to it.
func TestKinds(t *testing.T) {
	m := newMachine(t)
	for _, file := range []string{"/proc/sys/fs/binfmt_misc/WSLInterop", "/mnt/c/Windows/System32/certutil.exe", "/usr/bin/wslpath"} {
		runnable(t, m.at(file))
	}
	windows, err := m.windowsFromWSL()
	if err != nil || windows == nil {
		t.Fatalf("Windows: got %v, %v", windows, err)
	}
	stores := []store{
		&nixOS{bundle: m.at("/etc/ssl/certs/ca-certificates.crt")},
		m.debian().java,
		m.jdk(filepath.Join(m.cfg.Home, "jdk/lib/security/cacerts")),
		windows,
		m.database("Firefox", filepath.Join(m.cfg.Home, "db")),
		clientDatabase{m.database("Firefox", filepath.Join(m.cfg.Home, "db"))},
	}
	for _, l := range layouts() {
		stores = append(stores, m.system(l))
	}
	// One kind only speaks up where there is no other.
	if got, want := len(systemKinds), len(stores)+1; got != want {
		t.Errorf("%d kinds, and this test knows %d", got, want)
	}
	root, file := newRoot(t)
	a := anchorFor(t, root, file)
	for _, s := range stores {
		r := receiptOf(s, a)
		if err := r.check(); err != nil {
			t.Errorf("%s: %v", r.Kind, err)
		}
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
	// Root deletes files there, or runs what is there, so no receipt says where
	// that is.
	for _, s := range stores {
		r := receiptOf(s, a)
		r.Location = m.cfg.Home
		if s := m.reopen(r); s != nil && r.Kind != kindNSS && r.Kind != kindClient {
			t.Errorf("opened a store of kind %s at %s", r.Kind, r.Location)
		}
	}
}

// A Java that a receipt speaks of is written by root only if it is root's.
func TestReceiptIsNoOrderToRoot(t *testing.T) {
	root, file := newRoot(t)
	m := newMachine(t)
	var asked []string
	m.cfg.UserOnly = true // so that a command for root becomes a problem that holds it
	cacerts := filepath.Join(m.cfg.Home, "lib/security/cacerts")
	writeFile(t, cacerts, makeJKS(2, jksEntry{alias: "mine", der: root.Raw}))
	runnable(t, filepath.Join(m.cfg.Home, "bin/keytool"))
	a := anchorFor(t, root, file)
	r := receiptOf(m.jdk(cacerts), a)
	j := m.reopen(r).(*jdk)
	j.mayRoot = func(path string) bool { asked = append(asked, path); return path == cacerts }
	j.canWrite = func(string) bool { return false }
	_, err := j.remove(t.Context(), []anchor{a})
	if err == nil || !slices.Contains(asked, j.tools[0]) {
		t.Errorf("got %v after asking whose %q are, want a refusal to run %s", err, asked, j.tools[0])
	}
}
