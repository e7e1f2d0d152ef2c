package nssdb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What NSS's tools see of a certificate that AddClient has added, and what they
// export of it again.
func TestToolsTakeOurClient(t *testing.T) {
	for name, key := range keyKinds(t) {
		t.Run(name, func(t *testing.T) {
			dir := newDatabase(t)
			p := newPerson(t, "alice", key)
			mustAddClient(t, dir, p)
			findClient(t, dir, p, true, true)
			if !lists(t, dir, "our alice", "u,u,u") || !lists(t, dir, "our chain of alice", ",,") {
				t.Errorf("certutil -L shows:\n%s", mustCertutil(t, dir, "-L"))
			}
			if out := mustCertutil(t, dir, "-K"); !strings.Contains(out, "our alice") {
				t.Errorf("certutil -K shows:\n%s", out)
			}
			file := filepath.Join(t.TempDir(), "exported.p12")
			pk12util(t, dir, "-o", file, "-n", "our alice", "-W", "words")
			copied, _ := newCertutilDatabase(t, "")
			pk12util(t, copied, "-i", file, "-W", "words")
			findClient(t, copied, p, true, true)
			find(t, copied, p.chain[0], true, false)
			before := snapshot(t, dir)
			mustAddClient(t, dir, p)
			if !maps.Equal(snapshot(t, dir), before) {
				t.Error("a second AddClient changed files")
			}
			deleteClient(t, dir, p, true)
			deleteClient(t, dir, p, false)
			if removed, err := Delete(t.Context(), dir, fingerprint(p.chain[0]), nil); err != nil || !removed {
				t.Errorf("Delete of the chain = %v, %v", removed, err)
			}
			wantNothing(t, dir)
		})
	}
}

// Both ways of adding leave the same rows, but for ids, salts and names.
func TestSameAsPk12util(t *testing.T) {
	for name, key := range keyKinds(t) {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t, "alice", key)
			theirs, _ := newCertutilDatabase(t, "")
			ours := newDatabase(t)
			importClient(t, theirs, p)
			mustAddClient(t, ours, p)
			findClient(t, theirs, p, true, true)
			got, want := plainRows(t, ours), plainRows(t, theirs)
			for name := range want {
				if !reflect.DeepEqual(got[name], want[name]) {
					t.Errorf("%s:\n%v\nwant that of pk12util:\n%v", name, got[name], want[name])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d rows, pk12util has %d", len(got), len(want))
			}
		})
	}
}

// What somebody else has put there, or still needs, stays.
func TestClientOfOthers(t *testing.T) {
	t.Run("imported before", func(t *testing.T) {
		dir, _ := newCertutilDatabase(t, "")
		p := newPerson(t, "alice", newKey(t))
		importClient(t, dir, p)
		before := snapshot(t, dir)
		mustAddClient(t, dir, p)
		deleteClient(t, dir, p, false)
		if !maps.Equal(snapshot(t, dir), before) {
			t.Error("files changed")
		}
	})
	t.Run("key imported before", func(t *testing.T) {
		dir, _ := newCertutilDatabase(t, "")
		old := newPerson(t, "alice", newKey(t))
		importClient(t, dir, old)
		p := newPerson(t, "alice again", old.key)
		mustAddClient(t, dir, p)
		findClient(t, dir, p, true, true)
		deleteClient(t, dir, p, true)
		findClient(t, dir, p, false, false)
		findClient(t, dir, old, true, true)
		change(t, dir, "DELETE FROM main.nssPublic WHERE a0 = ?", number(classCertificate))
		deleteClient(t, dir, p, false)
		if out := mustCertutil(t, dir, "-K"); !strings.Contains(out, "< 0>") {
			t.Errorf("the key is gone: %s", out)
		}
	})
	t.Run("renewed", func(t *testing.T) {
		dir := newDatabase(t)
		old := newPerson(t, "alice", newKey(t))
		renewed := newPerson(t, "alice again", old.key)
		mustAddClient(t, dir, old)
		mustAddClient(t, dir, renewed)
		deleteClient(t, dir, old, true)
		findClient(t, dir, renewed, true, true)
		deleteClient(t, dir, renewed, true)
		wantRows(t, dir, 0)
	})
	t.Run("another client", func(t *testing.T) {
		dir := newDatabase(t)
		alice, bob := newPerson(t, "alice", newKey(t)), newPerson(t, "bob", newRSAKey(t))
		mustAddClient(t, dir, alice)
		mustAddClient(t, dir, bob)
		deleteClient(t, dir, alice, true)
		findClient(t, dir, alice, false, false)
		findClient(t, dir, bob, true, true)
		deleteClient(t, dir, bob, true)
		wantRows(t, dir, 0)
	})
}

// What was damaged by somebody's hand comes back, and an orphan goes.
func TestClientMended(t *testing.T) {
	tests := []struct{ name, statement, detail string }{
		{"no key", "DELETE FROM keys.nssPrivate; DELETE FROM keys.metaData WHERE id LIKE 'sig_key%'", "missing"},
		{"no signature", "DELETE FROM keys.metaData WHERE id LIKE 'sig_key%'", "signature"},
		{"damaged key", "UPDATE keys.nssPrivate SET a11 = x'00'", "decrypted"},
		{"no certificate", "DELETE FROM main.nssPublic WHERE a0 = x'00000001'", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDatabase(t)
			p := newPerson(t, "alice", newKey(t))
			mustAddClient(t, dir, p)
			change(t, dir, tt.statement)
			if e := findClient(t, dir, p, tt.detail != "", false); !strings.Contains(e.Detail, tt.detail) {
				t.Errorf("FindClient = %+v, want %q", e, tt.detail)
			}
			mustAddClient(t, dir, p)
			findClient(t, dir, p, true, true)
			change(t, dir, tt.statement)
			deleteClient(t, dir, p, true)
			wantRows(t, dir, 0)
		})
	}
}

func TestClientRefused(t *testing.T) {
	p, other := newPerson(t, "alice", newKey(t)), newPerson(t, "bob", newKey(t))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := newDatabase(t)
	before := snapshot(t, dir)
	if err := newPerson(t, "small", p224).add(t, dir); !errors.Is(err, ErrKey) {
		t.Errorf("P-224: %v, want ErrKey", err)
	}
	if err := AddClient(t.Context(), dir, p.named(), other.key); err == nil {
		t.Error("another key was taken")
	}
	if err := AddClient(t.Context(), dir, NamedCertificate{"", p.leaf}, p.key); err == nil {
		t.Error("an empty nickname was taken")
	}
	if err := AddClient(t.Context(), dir, p.named(), p.key, NamedCertificate{"our alice", p.chain[0]}); !errors.Is(err, ErrNickname) {
		t.Errorf("one nickname for two: %v, want ErrNickname", err)
	}
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("a refused AddClient changed files")
	}

	dir, file := newCertutilDatabase(t, "secret words")
	before = snapshot(t, dir)
	if err := p.add(t, dir); !errors.Is(err, ErrPassword) {
		t.Errorf("a database with a password: %v, want ErrPassword", err)
	}
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("a refused AddClient changed files")
	}
	mustCertutil(t, dir, "-L", "-f", file)
}

// Somebody else's password does not keep what is ours in the database.
func TestClientBehindPassword(t *testing.T) {
	dir := newDatabase(t)
	p := newPerson(t, "alice", newKey(t))
	mustAddClient(t, dir, p)
	files := t.TempDir()
	old, now := filepath.Join(files, "old"), filepath.Join(files, "new")
	for path, text := range map[string]string{old: "\n", now: "secret words\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustCertutil(t, dir, "-W", "-f", old, "-@", now)
	if e := findClient(t, dir, p, true, true); !e.Unchecked {
		t.Errorf("FindClient = %+v, want it unchecked", e)
	}
	mustAddClient(t, dir, p) // has nothing to do
	deleteClient(t, dir, p, true)
	wantRows(t, dir, 0)
}

// A key with the right id need not be the right key.
func TestClientWithOtherKey(t *testing.T) {
	for name, key := range keyKinds(t) {
		t.Run(name, func(t *testing.T) {
			dir := newDatabase(t)
			p, other := newPerson(t, "alice", key), newPerson(t, "bob", newKey(t))
			if name == "RSA 2048" {
				other = newPerson(t, "bob", newRSAKey(t))
			}
			mustAddClient(t, dir, p)
			mustAddClient(t, dir, other)
			id, err := publicKeyID(p.leaf)
			if err != nil {
				t.Fatal(err)
			}
			change(t, dir, "DELETE FROM keys.nssPrivate WHERE a102 = ?", id)
			change(t, dir, "UPDATE keys.nssPrivate SET a102 = ?", id)
			if e := findClient(t, dir, p, true, false); !strings.Contains(e.Detail, "another certificate") {
				t.Errorf("FindClient = %+v", e)
			}
			if err := p.add(t, dir); err == nil {
				t.Error("AddClient is content with the key of another")
			}
		})
	}
}
