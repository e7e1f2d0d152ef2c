package nssdb

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// A person is a client certificate with what belongs to it.
type person struct {
	leaf  *x509.Certificate
	key   crypto.Signer
	chain []*x509.Certificate
}

// newPerson returns a client certificate for key, issued by an intermediate.
func newPerson(t testing.TB, name string, key crypto.Signer) person {
	t.Helper()
	rootKey, subKey := newKey(t), newKey(t)
	root := newCA(t, "root of "+name, rootKey)
	sub := &x509.Certificate{
		SerialNumber:          big.NewInt(2),
		Subject:               pkix.Name{Organization: []string{"intermediate of " + name}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	sub = issue(t, sub, root, subKey.Public(), rootKey)
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(append([]byte{0x7f}, randomBytes(15)...)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	return person{issue(t, leaf, sub, key.Public(), subKey), key, []*x509.Certificate{sub}}
}

// add puts the person into a database, under "our NAME" and "our chain of NAME".
func (p person) add(t testing.TB, dir string) error {
	t.Helper()
	return AddClient(t.Context(), dir, p.named(), p.key,
		NamedCertificate{"our chain of " + p.leaf.Subject.CommonName, p.chain[0]})
}

func (p person) named() NamedCertificate {
	return NamedCertificate{"our " + p.leaf.Subject.CommonName, p.leaf}
}

func ours(nickname string) bool { return strings.HasPrefix(nickname, "our ") }

func mustAddClient(t testing.TB, dir string, p person) {
	t.Helper()
	if err := p.add(t, dir); err != nil {
		t.Fatal(err)
	}
}

// deleteClient deletes the person, and fails unless there was what want says.
func deleteClient(t testing.TB, dir string, p person, want bool) {
	t.Helper()
	if held, err := HoldsClient(t.Context(), dir, fingerprint(p.leaf), ours); err != nil || held != want {
		t.Errorf("HoldsClient = %v, %v; want %v", held, err, want)
	}
	if removed, err := DeleteClient(t.Context(), dir, fingerprint(p.leaf), ours); err != nil || removed != want {
		t.Errorf("DeleteClient = %v, %v; want %v", removed, err, want)
	}
}

// findClient returns what FindClient says and fails if held or usable differ.
func findClient(t testing.TB, dir string, p person, held, usable bool) ClientEntry {
	t.Helper()
	e, got, err := FindClient(t.Context(), dir, fingerprint(p.leaf))
	if err != nil {
		t.Fatal(err)
	}
	if got != held || e.Usable != usable {
		t.Errorf("FindClient = %+v, held %v; want usable %v, held %v", e, got, usable, held)
	}
	if held && (e.Detail == "") != (e.Usable && !e.Unchecked) {
		t.Errorf("FindClient = %+v: the detail does not fit", e)
	}
	return e
}

// keyKinds returns a key of each kind that NSS takes.
func keyKinds(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	all := map[string]crypto.Signer{"RSA 2048": newRSAKey(t)}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[curve.Params().Name] = key
	}
	return all
}

// pk12util runs NSS's own tool on the database in dir.
func pk12util(t testing.TB, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("pk12util")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pk12util is missing: install libnss3-tools")
		}
		t.Skip("pk12util is missing: install libnss3-tools")
	}
	out, err := exec.CommandContext(t.Context(), path, append(args, "-d", "sql:"+dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("pk12util %v: %s", args, out)
	}
}

// importClient has pk12util put the person into a database.
func importClient(t testing.TB, dir string, p person) {
	t.Helper()
	data, err := pkcs12.LegacyDES.Encode(p.key, p.leaf, p.chain, "words")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.p12")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	pk12util(t, dir, "-i", file, "-W", "words")
}

// plainRows returns the attributes of each object but its label, secrets in
// plain text, and which of them have a signature.
func plainRows(t *testing.T, dir string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	err := read(t.Context(), dir, func(db *database) error {
		for table, columns := range map[table]map[string]bool{publicTable: db.columns, privateTable: db.keyColumns} {
			var known []attribute
			for column := range columns {
				var a uint32
				if n, _ := fmt.Sscanf(column, "a%x", &a); n == 1 {
					known = append(known, attribute(a))
				}
			}
			for _, class := range []uint32{classCertificate, classPublicKey, classPrivateKey, classTrust, classNSSTrust} {
				objects, err := db.objectsIn(t.Context(), table, class, known)
				if err != nil {
					return err
				}
				for _, o := range objects {
					row, err := db.plainRow(t.Context(), table, o)
					if err != nil {
						return err
					}
					all[fmt.Sprintf("%s class %x subject %s", table.name, class, row[attrSubject.column()])] = row
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (db *database) plainRow(ctx context.Context, in table, o object) (map[string]string, error) {
	row := map[string]string{}
	for a, v := range o.attributes {
		if plain, ok := unseal(v, db.keys.password); ok {
			v = plain
			row[a.column()+" is sealed"] = "yes"
		}
		row[a.column()] = fmt.Sprintf("%x", v)
		covered := o.id
		if row[a.column()+" is sealed"] != "" {
			covered = 0
		}
		signature, err := db.signature(ctx, in, o.id, a)
		if err != nil {
			return nil, err
		}
		if signature != nil {
			row[a.column()+" is signed"] = fmt.Sprint(verify(signature, db.keys.password, covered, a, v))
		}
	}
	delete(row, attrLabel.column())
	return row, nil
}

// wantRows fails the test unless there are that many keys, public halves and
// signatures.
func wantRows(t *testing.T, dir string, want int) {
	t.Helper()
	onDatabase(t, dir, func(ctx context.Context, conn *sql.Conn) {
		var got int
		err := conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM keys.nssPrivate) +
			(SELECT count(*) FROM main.nssPublic WHERE a0 = ?) +
			(SELECT count(*) FROM keys.metaData WHERE id LIKE 'sig%')`, number(classPublicKey)).Scan(&got)
		if err != nil || got != want {
			t.Errorf("%d rows of keys, %v; want %d", got, err, want)
		}
	})
}
