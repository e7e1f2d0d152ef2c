package nssdb

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestAddFindDelete(t *testing.T) {
	for name, root := range map[string]*x509.Certificate{
		"elliptic": newCA(t, "elliptic", nil),
		"rsa":      newCA(t, "rsa", newRSAKey(t)),
	} {
		t.Run(name, func(t *testing.T) {
			dir := newDatabase(t)
			other := newCA(t, "other", nil)
			mustAdd(t, dir, other)
			find(t, dir, root, false, false)

			if err := Add(t.Context(), dir, "mine", root); err != nil {
				t.Fatal(err)
			}
			if e := find(t, dir, root, true, true); e.Nickname != "mine" {
				t.Errorf("nickname = %q, want mine", e.Nickname)
			}
			wantRoots(t, dir, other, root)
			if empty, err := Unused(t.Context(), dir); err != nil || empty {
				t.Errorf("Empty = %v, %v; want false", empty, err)
			}

			before := snapshot(t, dir)
			if err := Add(t.Context(), dir, "another name", root); err != nil {
				t.Errorf("Add again: %v", err)
			}
			if got := snapshot(t, dir); !maps.Equal(got, before) {
				t.Error("adding twice changed the files")
			}

			for i, want := range []bool{true, false} {
				before := snapshot(t, dir)
				removed, err := Delete(t.Context(), dir, fingerprint(root), nil)
				if err != nil || removed != want {
					t.Errorf("Delete = %v, %v; want %v", removed, err, want)
				}
				if changed := !maps.Equal(snapshot(t, dir), before); changed != want {
					t.Errorf("Delete %d changed files: %v, want %v", i, changed, want)
				}
			}
			find(t, dir, root, false, false)
			find(t, dir, other, true, true)
			if _, err := Delete(t.Context(), dir, fingerprint(other), other); err != nil {
				t.Fatal(err)
			}
			wantNothing(t, dir)
		})
	}
}

// wantNothing fails unless the database has no object and no signature.
func wantNothing(t *testing.T, dir string) {
	t.Helper()
	if empty, err := Unused(t.Context(), dir); err != nil || !empty {
		t.Errorf("Empty = %v, %v; want true", empty, err)
	}
	if n := change(t, dir, "DELETE FROM keys.metaData WHERE id <> 'password'"); n != 0 {
		t.Errorf("%d signatures are left", n)
	}
}

func wantRoots(t *testing.T, dir string, want ...*x509.Certificate) {
	t.Helper()
	roots, err := Roots(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[[32]byte]bool{}
	for _, r := range roots {
		got[fingerprint(r)] = true
	}
	for _, r := range want {
		if !got[fingerprint(r)] {
			t.Errorf("Roots lacks %s", r.Subject)
		}
	}
	if len(roots) != len(want) {
		t.Errorf("%d roots, want %d", len(roots), len(want))
	}
}

func TestMissingKeys(t *testing.T) {
	dir := newDatabase(t)
	root := newCA(t, "root", nil)
	mustAdd(t, dir, root)
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	find(t, dir, root, true, false)
	wantRoots(t, dir)
	mustAdd(t, dir, root)
	find(t, dir, root, true, true)
}

func TestUnsetPassword(t *testing.T) {
	dir := newDatabase(t)
	root := newCA(t, "root", nil)
	mustAdd(t, dir, root)
	change(t, dir, "DELETE FROM keys.metaData")
	find(t, dir, root, true, false)
	mustAdd(t, dir, root)
	find(t, dir, root, true, true)
}

func TestNickname(t *testing.T) {
	dir := newDatabase(t)
	if err := Add(t.Context(), dir, "name", newCA(t, "one", nil)); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	if err := Add(t.Context(), dir, "name", newCA(t, "two", nil)); !errors.Is(err, ErrNickname) {
		t.Errorf("Add under a taken nickname: %v, want ErrNickname", err)
	}
	for _, bad := range []string{"", "a\x00b"} {
		if err := Add(t.Context(), dir, bad, newCA(t, "three", nil)); err == nil {
			t.Errorf("Add under %q succeeded", bad)
		}
	}
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("a refused Add changed files")
	}
}

func TestSameIssuerAndSerial(t *testing.T) {
	dir := newDatabase(t)
	key := newKey(t)
	root := newCA(t, "root", key)
	twin := issue(t, root, root, root.PublicKey, key) // another signature
	mustAdd(t, dir, root)
	if err := Add(t.Context(), dir, "twin", twin); err == nil {
		t.Error("Add of another certificate with the same issuer and serial number succeeded")
	}
	find(t, dir, twin, false, false)
	if removed, err := Delete(t.Context(), dir, fingerprint(twin), twin); err != nil || removed {
		t.Errorf("Delete of the twin = %v, %v; want false", removed, err)
	}
	find(t, dir, root, true, true)
}

// What kills and other programs leave is not trusted, and Add mends it.
func TestRepair(t *testing.T) {
	tests := []struct {
		name, statement string
		held            bool
	}{
		{"no signatures", "DELETE FROM keys.metaData WHERE id <> 'password'", true},
		{"one signature missing", "DELETE FROM keys.metaData WHERE id LIKE 'sig_cert_%_ce536358'", true},
		{"wrong signature", "UPDATE keys.metaData SET item1 = (SELECT item1 FROM keys.metaData WHERE id LIKE 'sig_cert_%_ce536359') WHERE id LIKE 'sig_cert_%_ce536358'", true},
		{"garbage signature", "UPDATE keys.metaData SET item1 = x'30820000' WHERE id LIKE 'sig%'", true},
		{"no trust", "UPDATE nssPublic SET ace536358 = x'ce534353' WHERE ace536358 IS NOT NULL", true},
		{"no trust row", "DELETE FROM nssPublic WHERE a0 = x'ce534353'", true},
		{"signatures only", "DELETE FROM nssPublic", false},
		{"trust row only", "DELETE FROM nssPublic WHERE a0 = x'00000001'", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDatabase(t)
			root := newCA(t, "root", nil)
			mustAdd(t, dir, root)
			if n := change(t, dir, tt.statement); n == 0 {
				t.Fatal("the statement changed nothing")
			}
			e := find(t, dir, root, tt.held, false)
			if e.Orphan {
				t.Errorf("Find = %+v: an orphan that cannot be told", e)
			}
			wantRoots(t, dir)
			mustAdd(t, dir, root)
			find(t, dir, root, true, true)
			for class, want := range map[string]int64{"00000001": 1, "ce534353": 1} {
				b, _ := hex.DecodeString(class)
				if n := change(t, dir, "UPDATE nssPublic SET a1 = a1 WHERE a0 = ?", b); n != want {
					t.Errorf("%d rows of class %s, want %d", n, class, want)
				}
			}
			if removed, err := Delete(t.Context(), dir, fingerprint(root), nil); err != nil || !removed {
				t.Errorf("Delete = %v, %v", removed, err)
			}
			if empty, err := Unused(t.Context(), dir); err != nil || !empty {
				t.Errorf("Empty = %v, %v; want true", empty, err)
			}
		})
	}
}

func TestDeleteOrphan(t *testing.T) {
	dir := newDatabase(t)
	root := newCA(t, "root", nil)
	mustAdd(t, dir, root)
	change(t, dir, "DELETE FROM nssPublic WHERE a0 = x'00000001'")
	if removed, err := Delete(t.Context(), dir, fingerprint(root), nil); err != nil || removed {
		t.Errorf("Delete by fingerprint alone = %v, %v; want false", removed, err)
	}
	if _, err := Delete(t.Context(), dir, fingerprint(newCA(t, "other", nil)), root); err == nil {
		t.Error("Delete with a certificate of another fingerprint succeeded")
	}
	if removed, err := Delete(t.Context(), dir, fingerprint(root), root); err != nil || !removed {
		t.Errorf("Delete with the certificate = %v, %v; want true", removed, err)
	}
	wantNothing(t, dir)
}

func TestConcurrentAdd(t *testing.T) {
	dir := newDatabase(t)
	// More would be a test of how long the disk takes, against LockWait.
	roots := make([]*x509.Certificate, 4)
	var wg sync.WaitGroup
	for i := range roots {
		roots[i] = newCA(t, "root", nil)
		wg.Go(func() {
			if err := Add(t.Context(), dir, roots[i].SerialNumber.String(), roots[i]); err != nil {
				t.Error(err)
			}
			if _, _, err := Find(t.Context(), dir, fingerprint(roots[i])); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantRoots(t, dir, roots...)
}
