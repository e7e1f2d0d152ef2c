package doctor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A testCA is a root, an intermediate with constraints, and leaves below it.
type testCA struct {
	t                  *testing.T
	root, intermediate *x509.Certificate
	rootKey, key       *ecdsa.PrivateKey
}

func newTestCA(t *testing.T, organization string) *testCA {
	t.Helper()
	ca := &testCA{t: t, rootKey: newKey(t), key: newKey(t)}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{organization}, CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			PermittedDNSDomains: []string{"localhost", "test"}, PermittedDNSDomainsCritical: true,
		}
	}
	root := template("root")
	ca.root = sign(t, root, root, &ca.rootKey.PublicKey, ca.rootKey)
	ca.intermediate = sign(t, template("intermediate"), ca.root, &ca.key.PublicKey, ca.rootKey)
	return ca
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
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

func (ca *testCA) leaf(host string, from, until time.Time) *x509.Certificate {
	ca.t.Helper()
	key := newKey(ca.t)
	return sign(ca.t, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: from, NotAfter: until},
		ca.intermediate, &key.PublicKey, ca.key)
}

// accepts is the proof of a Machine: whether a client with roots accepts a
// leaf of ca.
func (ca *testCA) accepts(_ context.Context, roots *x509.CertPool) error {
	if roots == nil {
		return errors.New("no roots")
	}
	between := x509.NewCertPool()
	between.AddCert(ca.intermediate)
	leaf := ca.leaf("shop.localhost", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// file writes certificates as PEM and returns the path.
func file(t *testing.T, name string, certs ...*x509.Certificate) string {
	t.Helper()
	var out bytes.Buffer
	for _, c := range certs {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, filepath.Join(t.TempDir(), name), out.Bytes(), 0o644)
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// skip leaves out a test for want of a tool, which CI has.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
