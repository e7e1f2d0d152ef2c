package nssdb

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// newCertutilDatabase returns the folder of an empty database that certutil
// made, with a password if that is not "".
func newCertutilDatabase(t *testing.T, password string) (dir, passwordFile string) {
	t.Helper()
	dir = t.TempDir()
	passwordFile = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustCertutil(t, dir, "-N", "-f", passwordFile)
	return dir, passwordFile
}

// lists reports whether certutil -L shows nickname with flags.
func lists(t *testing.T, dir, nickname, flags string) bool {
	t.Helper()
	for line := range strings.Lines(mustCertutil(t, dir, "-L")) {
		fields := strings.Fields(line)
		if n := len(fields); n > 1 && strings.Join(fields[:n-1], " ") == nickname && fields[n-1] == flags {
			return true
		}
	}
	return false
}

func TestCertutilTakesOurs(t *testing.T) {
	key := newKey(t)
	root := newCA(t, "root", key)
	leaf := newLeaf(t, root, key)
	dir := newDatabase(t)
	if err := Add(t.Context(), dir, "our root", root); err != nil {
		t.Fatal(err)
	}
	if !lists(t, dir, "our root", "C,,") {
		t.Errorf("certutil -L shows:\n%s", mustCertutil(t, dir, "-L"))
	}
	mustCertutil(t, dir, "-A", "-n", "leaf", "-t", ",,", "-a", "-i", pemFile(t, leaf))
	if out, ok := certutil(t, dir, "-V", "-u", "V", "-n", "leaf"); !ok {
		t.Errorf("certutil -V refuses a leaf of the root: %s", out)
	}
	find(t, dir, leaf, true, false)
	find(t, dir, root, true, true)
	if removed, err := Delete(t.Context(), dir, fingerprint(leaf), nil); err != nil || !removed {
		t.Errorf("Delete of what certutil added = %v, %v", removed, err)
	}
	mustCertutil(t, dir, "-D", "-n", "our root")
	find(t, dir, root, false, false)
	if out := mustCertutil(t, dir, "-L"); strings.Contains(out, "root") {
		t.Errorf("certutil -D left:\n%s", out)
	}
	wantNothing(t, dir)
}

func TestCertutilOurs(t *testing.T) {
	dir, _ := newCertutilDatabase(t, "")
	root, plain, added := newCA(t, "root", nil), newCA(t, "plain", nil), newCA(t, "added", nil)
	mustCertutil(t, dir, "-A", "-n", "trusted", "-t", "C,,", "-a", "-i", pemFile(t, root))
	mustCertutil(t, dir, "-A", "-n", "plain", "-t", ",,", "-a", "-i", pemFile(t, plain))
	find(t, dir, root, true, true)
	find(t, dir, plain, true, false)
	wantRoots(t, dir, root)
	if err := Add(t.Context(), dir, "added", added); err != nil {
		t.Fatal(err)
	}
	if err := Add(t.Context(), dir, "ignored", plain); err != nil {
		t.Fatal(err)
	}
	for _, nickname := range []string{"trusted", "plain", "added"} {
		if !lists(t, dir, nickname, "C,,") {
			t.Errorf("certutil -L does not show %q as C,,:\n%s", nickname, mustCertutil(t, dir, "-L"))
		}
	}
	wantRoots(t, dir, root, plain, added)
	for _, c := range [][32]byte{fingerprint(root), fingerprint(plain), fingerprint(added)} {
		if removed, err := Delete(t.Context(), dir, c, nil); err != nil || !removed {
			t.Errorf("Delete = %v, %v", removed, err)
		}
	}
	wantNothing(t, dir)
	if _, ok := certutil(t, dir, "-L", "-n", "trusted"); ok {
		t.Error("certutil still finds a certificate")
	}
}

// Both ways of adding leave the same, but for ids, salts and signatures.
func TestSameAsCertutil(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"elliptic": newKey(t), "rsa": newRSAKey(t)} {
		t.Run(name, func(t *testing.T) {
			cert := newCA(t, name, key)
			theirs, _ := newCertutilDatabase(t, "")
			ours := newDatabase(t)
			mustCertutil(t, theirs, "-A", "-n", "nick", "-t", "C,,", "-a", "-i", pemFile(t, cert))
			if err := Add(t.Context(), ours, "nick", cert); err != nil {
				t.Fatal(err)
			}
			got, want := dump(t, ours), dump(t, theirs)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("rows:\n%v\nwant those of certutil:\n%v", got, want)
			}
		})
	}
}

// dump returns schema, objects by class, and which attributes have a signature.
func dump(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	rows := func(ctx context.Context, conn *sql.Conn, query string, f func(map[string]string)) {
		r, err := conn.QueryContext(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		columns, _ := r.Columns()
		for r.Next() {
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := r.Scan(into...); err != nil {
				t.Fatal(err)
			}
			row := map[string]string{}
			for i, v := range values {
				if v.Valid {
					row[columns[i]] = fmt.Sprintf("%x", v.String)
				}
			}
			f(row)
		}
	}
	onDatabase(t, dir, func(ctx context.Context, conn *sql.Conn) {
		for _, schema := range []string{"main", "keys"} {
			rows(ctx, conn, "SELECT name, sql FROM "+schema+".sqlite_master", func(row map[string]string) {
				all[schema+" "+row["name"]] = row["sql"]
			})
		}
		rows(ctx, conn, "SELECT * FROM main.nssPublic", func(row map[string]string) {
			delete(row, "id")
			all["object "+row["a0"]] = fmt.Sprint(row)
		})
		rows(ctx, conn, "SELECT substr(id, 19) AS a, typeof(id) AS b, typeof(item1) AS c, typeof(item2) AS d, length(item1) AS e FROM keys.metaData", func(row map[string]string) {
			all["meta "+row["a"]] = fmt.Sprint(row)
		})
	})
	return all
}

func TestPassword(t *testing.T) {
	dir, file := newCertutilDatabase(t, "secret words")
	root, other := newCA(t, "root", nil), newCA(t, "other", nil)
	mustCertutil(t, dir, "-A", "-n", "root", "-t", "C,,", "-f", file, "-a", "-i", pemFile(t, root))
	before := snapshot(t, dir)
	if err := Add(t.Context(), dir, "other", other); !errors.Is(err, ErrPassword) {
		t.Errorf("Add: %v, want ErrPassword", err)
	}
	if err := Add(t.Context(), dir, "root", root); err != nil {
		t.Errorf("Add of what is trusted: %v", err)
	}
	if e := find(t, dir, root, true, true); !e.Unchecked {
		t.Errorf("Find = %+v, want it unchecked", e)
	}
	find(t, dir, other, false, false)
	if !maps.Equal(snapshot(t, dir), before) {
		t.Error("files changed")
	}
	if removed, err := Delete(t.Context(), dir, fingerprint(root), nil); err != nil || !removed {
		t.Errorf("Delete = %v, %v; want true", removed, err)
	}
	find(t, dir, root, false, false)
	if unused, err := Unused(t.Context(), dir); err != nil || unused {
		t.Errorf("Unused = %v, %v; somebody has set a password", unused, err)
	}
	mustCertutil(t, dir, "-A", "-n", "root", "-t", "C,,", "-f", file, "-a", "-i", pemFile(t, root))
}

// NSS and Find agree on which signatures count.
func TestTamperedLikeCertutil(t *testing.T) {
	for _, a := range append([]attribute{attrNSSMD5}, classic.signed...) {
		dir := newDatabase(t)
		root := newCA(t, "root", nil)
		if err := Add(t.Context(), dir, "root", root); err != nil {
			t.Fatal(err)
		}
		n := change(t, dir, `UPDATE keys.metaData SET item1 = CAST(substr(item1, 1, length(item1) - 1) ||
			CASE substr(item1, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB) WHERE id LIKE 'sig%' || ?`, fmt.Sprintf("%08x", uint32(a)))
		if n != 1 {
			t.Fatalf("%d signatures changed, want 1", n)
		}
		want := lists(t, dir, "root", "C,,")
		if want != (a == attrNSSMD5) {
			t.Errorf("%x tampered with: certutil trusts: %v", uint32(a), want)
		}
		find(t, dir, root, true, want)
	}
}
