package clientenv

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// newRoot makes a certificate that signs itself.
func newRoot(t testing.TB, name string) *x509.Certificate {
	cert, _ := newAuthority(t, name)
	return cert
}

func newAuthority(t testing.TB, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return newCertificate(t, &x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
}

// newCertificate makes a certificate signed by parent, by itself if that is
// nil.
func newCertificate(t testing.TB, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func pemOf(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes()
}

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A machine is a state folder and a system with two roots.
type machine struct {
	Bundles
	system []*x509.Certificate
	work   string // a folder for the person's files
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{
		system: []*x509.Certificate{newRoot(t, "system"), newRoot(t, "system")},
		work:   t.TempDir(),
	}
	m.Bundles = Bundles{
		Dir:    dir,
		System: []string{filepath.Join(dir, "missing"), filepath.Join(t.TempDir(), "system.pem")},
	}
	m.useRoot(t, newRoot(t, "ours"))
	m.useSystem(t, m.system...)
	return m
}

// useRoot rotates.
func (m *machine) useRoot(t testing.TB, root *x509.Certificate) {
	m.Root = root
	m.RootFile = writeFile(t, filepath.Join(m.Dir, "root.pem"), pemOf(root))
}

func (m *machine) useSystem(t testing.TB, certs ...*x509.Certificate) {
	m.system = certs
	writeFile(t, m.System[1], pemOf(certs...))
}

func (m *machine) file(t testing.TB, name string, data []byte) string {
	return writeFile(t, filepath.Join(m.work, name), data)
}

// environment is what a shell holds.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

// with evaluates variables in a copy.
func (e environment) with(vars []Variable) environment {
	next := environment{}
	for name, value := range e {
		next[name] = value
	}
	for _, v := range vars {
		next[v.Name] = v.Value
	}
	return next
}

// variables asks for the variables and returns the environment after.
func (m *machine) variables(t testing.TB, env environment, java bool) (environment, []string) {
	t.Helper()
	vars, warnings, err := m.Variables(Request{Env: env.get, Java: java})
	if err != nil {
		t.Fatal(err)
	}
	return env.with(vars), warnings
}

// checkHolds compares the certificates of a file with want, in any order.
func checkHolds(t testing.TB, path string, want ...*x509.Certificate) {
	t.Helper()
	certs, err := readCertificates(path)
	if err != nil {
		t.Error(err)
		return
	}
	var wantDER [][]byte
	for _, c := range want {
		wantDER = append(wantDER, c.Raw)
	}
	slices.SortFunc(certs, bytes.Compare)
	slices.SortFunc(wantDER, bytes.Compare)
	if !slices.EqualFunc(certs, wantDER, bytes.Equal) {
		t.Errorf("%s holds %d certificates, want %d, or others", path, len(certs), len(want))
	}
}

// requireTool skips the test without the program name, or fails it in CI.
func requireTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is needed in CI: %v", name, err)
	}
	t.Skipf("needs %s: %v", name, err)
	return ""
}
