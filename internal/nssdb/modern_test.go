package nssdb

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
)

// addModern writes a trust row as new versions of NSS do, with this trust for
// TLS servers, and the columns it needs.
func addModern(t *testing.T, dir string, cert *x509.Certificate, server uint32) {
	t.Helper()
	const mustVerify = 4
	id, err := identityOf(cert)
	if err != nil {
		t.Fatal(err)
	}
	row := map[attribute][]byte{
		attrClass:        number(classTrust),
		attrToken:        {1},
		attrPrivate:      {0},
		attrLabel:        empty,
		attrModifiable:   {1},
		attrIssuer:       []byte(id.issuer),
		attrSerial:       []byte(id.serial),
		attrNameHashAlgo: number(0x250), // CKM_SHA256
		attrHash:         modern.sum(cert.Raw),
		attrTrustServer:  number(server),
		attrTrustClient:  number(mustVerify),
		attrTrustCode:    number(mustVerify),
		attrTrustEmail:   number(mustVerify),
	}
	err = write(t.Context(), dir, func(db *database) error {
		for _, a := range modern.signed {
			if db.columns[a.column()] {
				continue
			}
			if _, err := db.conn.ExecContext(t.Context(), "ALTER TABLE main.nssPublic ADD COLUMN "+a.column()); err != nil {
				return err
			}
		}
		id, err := db.insert(t.Context(), publicTable, row)
		if err != nil {
			return err
		}
		for _, a := range modern.signed {
			if err := db.sign(t.Context(), publicTable, id, id, a, row[a]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestModernRows(t *testing.T) {
	const anchor, unknown, notTrusted = 2, 0, 3
	for _, tt := range []struct {
		name      string
		server    uint32
		statement string // run after the row was written
		held      bool
		trusted   bool
		orphan    bool
	}{
		{"alone", anchor, "DELETE FROM nssPublic WHERE a0 = x'ce534353'", true, true, false},
		{"both generations", anchor, "UPDATE nssPublic SET a1 = a1", true, true, false},
		{"distrusted", notTrusted, "UPDATE nssPublic SET a1 = a1", true, false, false},
		{"unknown", unknown, "UPDATE nssPublic SET a1 = a1", true, false, false},
		{"classic not trusted", anchor, "UPDATE nssPublic SET ace536358 = x'ce534353' WHERE a0 = x'ce534353'", true, false, false},
		{"not signed", anchor, "DELETE FROM keys.metaData WHERE id LIKE 'sig%62c'", true, false, false},
		{"orphan", anchor, "DELETE FROM nssPublic WHERE a0 = x'00000001'", false, true, true},
		{"modern orphan", anchor, "DELETE FROM nssPublic WHERE a0 <> x'0000000b'", false, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDatabase(t)
			root, other := newCA(t, "root", nil), newCA(t, "other", nil)
			mustAdd(t, dir, other)
			mustAdd(t, dir, root)
			addModern(t, dir, root, tt.server)
			id, err := identityOf(root)
			if err != nil {
				t.Fatal(err)
			}
			statement := tt.statement
			if strings.Contains(statement, "nssPublic") {
				statement = strings.Replace(statement, " WHERE", fmt.Sprintf(" WHERE a82 = x'%x' AND", id.serial), 1)
			}
			if n := change(t, dir, statement); n == 0 {
				t.Fatal("the statement changed nothing")
			}
			if e := find(t, dir, root, tt.held, tt.trusted); e.Orphan != tt.orphan {
				t.Errorf("Find = %+v, want orphan %v", e, tt.orphan)
			}
			want := []*x509.Certificate{other}
			if tt.trusted && tt.held {
				want = append(want, root)
			}
			wantRoots(t, dir, want...)

			mustAdd(t, dir, root)
			find(t, dir, root, true, true)
			wantRoots(t, dir, other, root)
			if _, err := Delete(t.Context(), dir, fingerprint(other), nil); err != nil {
				t.Fatal(err)
			}
			if removed, err := Delete(t.Context(), dir, fingerprint(root), nil); err != nil || !removed {
				t.Errorf("Delete = %v, %v; want true", removed, err)
			}
			if empty, err := Unused(t.Context(), dir); err != nil || !empty {
				t.Errorf("Empty = %v, %v; want true", empty, err)
			}
		})
	}
}

// certutil of old sees only classic rows; what it leaves is found and removed.
func TestCertutilLeavesModernRows(t *testing.T) {
	dir := newDatabase(t)
	root := newCA(t, "root", nil)
	if err := Add(t.Context(), dir, "root", root); err != nil {
		t.Fatal(err)
	}
	addModern(t, dir, root, 2)
	mustCertutil(t, dir, "-D", "-n", "root")
	e, held, err := Find(t.Context(), dir, fingerprint(root))
	if err != nil || held {
		t.Fatalf("Find: held %v, %v; want it gone", held, err)
	}
	if !e.Orphan {
		t.Skip("this certutil removes both generations")
	}
	if !e.Trusted {
		t.Errorf("Find = %+v, want an orphan that is trusted", e)
	}
	if removed, err := Delete(t.Context(), dir, fingerprint(root), nil); err != nil || !removed {
		t.Errorf("Delete = %v, %v; want true", removed, err)
	}
	wantNothing(t, dir)
}
