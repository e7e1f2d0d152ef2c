package nssdb

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// newCA returns a root and its key.
func newCA(t testing.TB, name string, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(append([]byte{0x7f}, randomBytes(15)...)),
		Subject:               pkix.Name{Organization: []string{name}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	return issue(t, template, template, key.Public(), key)
}

func newLeaf(t testing.TB, root *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{Organization: []string{"leaf"}},
		DNSNames:     []string{"app.localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return issue(t, leaf, root, newKey(t).Public(), key)
}

func issue(t testing.TB, template, parent *x509.Certificate, public any, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func fingerprint(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.Raw) }

// newDatabase returns the folder of a new, empty database.
func newDatabase(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "nssdb")
	if err := Create(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mustAdd adds cert, with a nickname of its own.
func mustAdd(t testing.TB, dir string, cert *x509.Certificate) {
	t.Helper()
	if err := Add(t.Context(), dir, "root "+cert.SerialNumber.Text(16), cert); err != nil {
		t.Fatal(err)
	}
}

// find returns what Find says and fails if that is an error or differs in what
// the want fields say.
func find(t testing.TB, dir string, cert *x509.Certificate, held, trusted bool) Entry {
	t.Helper()
	e, got, err := Find(t.Context(), dir, fingerprint(cert))
	if err != nil {
		t.Fatal(err)
	}
	if got != held || e.Trusted != trusted {
		t.Errorf("Find = %+v, held %v; want trusted %v, held %v", e, got, trusted, held)
	}
	if (e.Detail == "") != (e.Trusted && !e.Unchecked || !held && !e.Orphan) {
		t.Errorf("Find = %+v: the detail does not fit", e)
	}
	return e
}

// change runs statements on cert9.db, attached to which is key4.db as keys.
func change(t testing.TB, dir, statement string, args ...any) int64 {
	t.Helper()
	var n int64
	onDatabase(t, dir, func(ctx context.Context, conn *sql.Conn) {
		result, err := conn.ExecContext(ctx, statement, args...)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		n, _ = result.RowsAffected()
	})
	return n
}

func onDatabase(t testing.TB, dir string, f func(context.Context, *sql.Conn)) {
	t.Helper()
	err := within(t.Context(), dir, "rw", func(db *database) error {
		f(t.Context(), db.conn)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot returns names, contents and times of the files in dir.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		data := []byte{}
		if info.Mode().IsRegular() && info.Size() < 1<<20 {
			if data, err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		sum := sha256.Sum256(data)
		files[e.Name()] = info.Mode().String() + info.ModTime().String() + string(sum[:])
	}
	return files
}

// certutil runs NSS's own tool on the database in dir.
func certutil(t testing.TB, dir string, args ...string) (output string, ok bool) {
	t.Helper()
	path, err := exec.LookPath("certutil")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("certutil is missing: install libnss3-tools")
		}
		t.Skip("certutil is missing: install libnss3-tools")
	}
	cmd := exec.CommandContext(t.Context(), path, append(args, "-d", "sql:"+dir)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err == nil
}

func mustCertutil(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, ok := certutil(t, dir, args...)
	if !ok {
		t.Fatalf("certutil %v: %s", args, out)
	}
	return out
}

// pemFile returns a file with cert.
func pemFile(t testing.TB, cert *x509.Certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
