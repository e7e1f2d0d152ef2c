package certfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// A pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newPair makes a certificate, signed by itself or by another's key.
func newPair(t testing.TB, name string, by *pair) pair {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: by == nil, DNSNames: []string{"shop.localhost"},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return pair{cert, key}
}

const password = "correct horse"

func encoded(t testing.TB, key crypto.PrivateKey, chain ...*x509.Certificate) []byte {
	t.Helper()
	data, err := EncodePKCS12(key, chain, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPKCS12(t *testing.T) {
	ca := newPair(t, "ca", nil)
	leaf := newPair(t, "leaf", &ca)
	data := encoded(t, leaf.key, leaf.cert, ca.cert)
	key, chain, err := DecodePKCS12(data, password)
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.key.Equal(key) || len(chain) != 2 || !chain[0].Equal(leaf.cert) || !chain[1].Equal(ca.cert) {
		t.Errorf("got another key or chain than was put in: %v", chain)
	}
	if _, _, err := DecodePKCS12(data, "another"); !errors.Is(err, ErrPassword) {
		t.Errorf("a wrong password: got %v, want %v", err, ErrPassword)
	}
}

// TestPKCS12Order: the certificate of the key comes first, wherever it was.
func TestPKCS12Order(t *testing.T) {
	ca := newPair(t, "ca", nil)
	leaf := newPair(t, "leaf", &ca)
	data, err := pkcs12.Modern2023.Encode(leaf.key, ca.cert, []*x509.Certificate{leaf.cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	_, chain, err := DecodePKCS12(data, password)
	if err != nil || len(chain) != 2 || !chain[0].Equal(leaf.cert) || !chain[1].Equal(ca.cert) {
		t.Errorf("got %v, %v", chain, err)
	}
}

func TestPKCS12WithoutKey(t *testing.T) {
	ca := newPair(t, "ca", nil)
	data, err := pkcs12.Passwordless.EncodeTrustStore([]*x509.Certificate{ca.cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	key, chain, err := DecodePKCS12(data, "")
	if err != nil || key != nil || len(chain) != 1 || !chain[0].Equal(ca.cert) {
		t.Errorf("got %v, %v, %v", key, chain, err)
	}
}

func TestEncodePKCS12Refuses(t *testing.T) {
	one, other := newPair(t, "one", nil), newPair(t, "other", nil)
	for _, tt := range []struct {
		key      crypto.PrivateKey
		chain    []*x509.Certificate
		password string
		want     string
	}{
		{one.key, nil, password, "no certificate"},
		{other.key, []*x509.Certificate{one.cert}, password, "not that of the certificate"},
		{nil, []*x509.Certificate{one.cert}, password, "not that of the certificate"},
		{one.key, []*x509.Certificate{one.cert}, "", "is empty"},
		{one.key, []*x509.Certificate{one.cert}, "pässword", "beyond ASCII"},
	} {
		if _, err := EncodePKCS12(tt.key, tt.chain, tt.password); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want …%s…", err, tt.want)
		} else if tt.password != "" && strings.Contains(err.Error(), tt.password) {
			t.Errorf("%v repeats the password", err)
		}
	}
}

// TestHostilePKCS12: a file cannot keep the program busy.
func TestHostilePKCS12(t *testing.T) {
	leaf := newPair(t, "leaf", nil)
	honest := encoded(t, leaf.key, leaf.cert)
	count, err := asn1.Marshal(iterations)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := asn1.Marshal(maxIterations*3 + 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(slow) != len(count) {
		t.Fatalf("%d bytes instead of %d would break the file", len(slow), len(count))
	}
	n := bytes.Count(honest, count)
	if n < 3 {
		t.Fatalf("%d iteration counts, want those of the MAC, the certificates and the key", n)
	}
	at := 0
	for range n {
		at += bytes.Index(honest[at:], count)
		data := slices.Replace(slices.Clone(honest), at, at+len(count), slow...)
		start := time.Now()
		if _, _, err := DecodePKCS12(data, password); err == nil || !strings.Contains(err.Error(), "iterations") {
			t.Errorf("iterations at %d: got %v", at, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("iterations at %d: took %v", at, took)
		}
		at += len(count)
	}
	for name, data := range map[string][]byte{
		"empty": {}, "garbage": []byte("garbage"), "cut": honest[:len(honest)/2], "BER": {0x30, 0x80, 2, 1, 3, 0x30, 0x80},
		"too large": make([]byte, MaxSize+1), "version": {0x30, 3, 2, 1, 3},
	} {
		if _, _, err := DecodePKCS12(data, password); err == nil || errors.Is(err, ErrPassword) {
			t.Errorf("%s: got %v, want another error", name, err)
		}
	}
}

// TestOthersOpenPKCS12: OpenSSL, Java and NSS open what EncodePKCS12 writes.
func TestOthersOpenPKCS12(t *testing.T) {
	ca := newPair(t, "ca", nil)
	leaf := newPair(t, "leaf", &ca)
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "leaf.p12"), filepath.Join(dir, "password")
	db := "sql:" + dir
	for path, data := range map[string][]byte{file: encoded(t, leaf.key, leaf.cert, ca.cert), secret: []byte(password + "\n")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name     string
		commands [][]string
		want     string // from the last
	}{
		{"openssl", [][]string{{"openssl", "pkcs12", "-info", "-in", file, "-passin", "file:" + secret, "-nokeys"}}, "CN = leaf"},
		{"keytool", [][]string{{"keytool", "-list", "-v", "-storetype", "PKCS12", "-keystore", file, "-storepass:file", secret}}, "Certificate chain length: 2"},
		{"pk12util", [][]string{{"pk12util", "-l", file, "-w", secret}}, "Key(shrouded)"},
		{"certutil", [][]string{
			{"certutil", "-N", "-d", db, "--empty-password"},
			{"pk12util", "-i", file, "-d", db, "-w", secret},
			{"certutil", "-K", "-d", db},
		}, "leaf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out []byte
			for _, c := range tt.commands {
				needs(t, c[0])
				cmd := exec.CommandContext(t.Context(), c[0], c[1:]...)
				cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+dir)
				var err error
				if out, err = cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", strings.Join(c, " "), err, out)
				}
			}
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("got %q, want …%s…", out, tt.want)
			}
		})
	}
}

func TestEncodePEM(t *testing.T) {
	ca := newPair(t, "ca", nil)
	leaf := newPair(t, "leaf", &ca)
	block, rest := pem.Decode(EncodeCertificates(leaf.cert, ca.cert))
	if block == nil || block.Type != "CERTIFICATE" || !bytes.Equal(block.Bytes, leaf.cert.Raw) {
		t.Errorf("the first is not the leaf")
	}
	if block, _ = pem.Decode(rest); block == nil || !bytes.Equal(block.Bytes, ca.cert.Raw) {
		t.Errorf("the second is not its CA")
	}
	text, err := EncodeKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ = pem.Decode(text); block == nil || block.Type != "PRIVATE KEY" {
		t.Fatalf("got %v", block)
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil || !leaf.key.Equal(key) {
		t.Errorf("another key came back: %v", err)
	}
	if _, err := EncodeKey("no key"); err == nil {
		t.Error("no key: no error")
	}
}
