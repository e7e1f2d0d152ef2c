package issuer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// An openssl is the program, and a folder with the files of a CA.
type openssl struct {
	path, dir, root, intermediate string
}

func newOpenSSL(t *testing.T, ca *CA) *openssl {
	o := &openssl{path: requireTool(t, "openssl"), dir: t.TempDir()}
	o.root = o.write(t, "root.pem", typeCertificate, ca.Root().Raw)
	o.intermediate = o.write(t, "intermediate.pem", typeCertificate, ca.Intermediate().Raw)
	return o
}

func (o *openssl) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run returns what openssl says, and whether it is content.
func (o *openssl) run(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.path, args...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// verify checks cert, strictly, as one for purpose, below the CA.
func (o *openssl) verify(t *testing.T, purpose string, cert *x509.Certificate, more ...string) (string, bool) {
	t.Helper()
	args := append([]string{"verify", "-x509_strict", "-purpose", purpose, "-no-CApath", "-no-CAstore",
		"-CAfile", o.root, "-untrusted", o.intermediate}, more...)
	return o.run(t, append(args, o.write(t, "leaf.pem", typeCertificate, cert.Raw))...)
}

func TestOpenSSLIssued(t *testing.T) {
	ca := makeCA(t)
	o := newOpenSSL(t, ca)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	order := func(order Order) *x509.Certificate {
		order.Life = day1
		issued, err := ca.Issue(order, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return issued.Certificate
	}
	request := func(client bool) *x509.Certificate {
		csr := makeRequest(t, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "Alice Example"}, DNSNames: []string{"a.test", "*.a.test"},
		}, rsaKey)
		issued, err := ca.SignRequest(csr, client, day1, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return issued.Certificate
	}
	for _, tt := range []struct {
		what, purpose string
		cert          *x509.Certificate
		flags         []string
	}{
		{"name", "sslserver", order(Order{Names: []string{"a.test"}}), []string{"-verify_hostname", "a.test"}},
		{"wildcard", "sslserver", order(Order{Names: []string{"a.test", "*.a.test"}}), []string{"-verify_hostname", "x.a.test"}},
		{"address", "sslserver", order(Order{Names: []string{"127.0.0.1", "::1"}}), []string{"-verify_ip", "::1"}},
		{"client by a word", "sslclient", order(Order{Client: "alice"}), nil},
		{"client by words", "sslclient", order(Order{Client: "Zoë Example"}), nil},
		{"client with dots beyond ASCII", "sslclient", order(Order{Client: "josé.gonzález"}), nil},
		{"client by e-mail", "sslclient", order(Order{Client: "alice@example.com"}), []string{"-verify_email", "alice@example.com"}},
		{"client by host name", "sslclient", order(Order{Client: "worker.test"}), []string{"-verify_hostname", "worker.test"}},
		{"request of a server", "sslserver", request(false), []string{"-verify_hostname", "x.a.test"}},
		{"request of a client", "sslclient", request(true), nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if out, ok := o.verify(t, tt.purpose, tt.cert, tt.flags...); !ok {
				t.Error(out)
			}
			other := map[string]string{"sslserver": "sslclient", "sslclient": "sslserver"}[tt.purpose]
			if out, ok := o.verify(t, other, tt.cert); ok {
				t.Errorf("it does for %s, too: %s", other, out)
			}
		})
	}

	// What addClient refuses, had it been signed.
	template := ca.leafTemplate(x509.ExtKeyUsageClientAuth, day1, time.Now())
	template.Subject.CommonName = "alice.example.com"
	cert, err := ca.signTemplate(template, &rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if out, ok := o.verify(t, "sslclient", cert); ok || !strings.Contains(out, "permitted subtree violation") {
		t.Errorf("client's common name outside the constraints: %s", out)
	}
}

func TestOpenSSLSelfSigned(t *testing.T) {
	ca := makeCA(t)
	o := newOpenSSL(t, ca)
	issued, err := SelfSigned([]string{"shop.example.com", "127.0.0.1"}, day1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := o.write(t, "self.pem", typeCertificate, issued.Certificate.Raw)
	args := []string{"verify", "-x509_strict", "-purpose", "sslserver", "-check_ss_sig", "-no-CApath", "-no-CAstore"}
	for _, tt := range []struct {
		args    []string
		refused string // what openssl says; "" if it accepts
	}{
		{slices.Concat(args, []string{"-CAfile", path, "-verify_hostname", "shop.example.com", path}), ""},
		{slices.Concat(args, []string{"-CAfile", path, "-partial_chain", "-verify_ip", "127.0.0.1", path}), ""},
		{slices.Concat(args, []string{"-CAfile", path, "-verify_hostname", "other.example.com", path}), "hostname mismatch"},
		{slices.Concat(args, []string{path}), "self-signed certificate"},
	} {
		if out, ok := o.run(t, tt.args...); ok != (tt.refused == "") || !strings.Contains(out, tt.refused) {
			t.Errorf("openssl %q: %s, refusal wanted: %q", tt.args, out, tt.refused)
		}
	}
}

func TestOpenSSLRevocationList(t *testing.T) {
	ca := makeCA(t)
	o := newOpenSSL(t, ca)
	now := time.Now()
	var certs [2]*x509.Certificate
	for i := range certs {
		issued, err := ca.Issue(Order{Client: "Alice Example", Life: day1}, now)
		if err != nil {
			t.Fatal(err)
		}
		certs[i] = issued.Certificate
	}
	good, bad := certs[0], certs[1]
	if out, ok := o.verify(t, "sslclient", good, "-crl_check"); ok || !strings.Contains(out, "unable to get certificate CRL") {
		t.Errorf("without a list: %s", out)
	}
	for _, revoked := range [][]x509.RevocationListEntry{
		nil,
		{{SerialNumber: bad.SerialNumber, RevocationTime: now}},
	} {
		der, err := ca.RevocationList(revoked, big.NewInt(7), now)
		if err != nil {
			t.Fatal(err)
		}
		crl := o.write(t, "crl.pem", "X509 CRL", der)
		if out, ok := o.verify(t, "sslclient", good, "-crl_check", "-CRLfile", crl); !ok {
			t.Errorf("%d revoked, good certificate: %s", len(revoked), out)
		}
		out, ok := o.verify(t, "sslclient", bad, "-crl_check", "-CRLfile", crl)
		if ok != (len(revoked) == 0) || !ok && !strings.Contains(out, "certificate revoked") {
			t.Errorf("%d revoked, that certificate: %s", len(revoked), out)
		}
	}
}

func TestOpenSSLRequest(t *testing.T) {
	ca := makeCA(t)
	o := newOpenSSL(t, ca)
	der, key, _, err := NewRequest([]string{"shop.localhost", "*.shop.localhost"})
	if err != nil {
		t.Fatal(err)
	}
	out, ok := o.run(t, "req", "-verify", "-noout", "-text", "-in", o.write(t, "request.pem", "CERTIFICATE REQUEST", der))
	if !ok || !strings.Contains(out, "DNS:shop.localhost, DNS:*.shop.localhost") || !strings.Contains(out, "CN = shop.localhost") {
		t.Errorf("openssl req: %s", out)
	}
	issued, err := ca.SignRequest(der, false, day1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !issued.Certificate.PublicKey.(*ecdsa.PublicKey).Equal(&key.PublicKey) || len(issued.Notes) > 0 {
		t.Errorf("notes %q, want none and the request's key", issued.Notes)
	}

	// What people have from openssl: text around it, and an old name.
	if out, ok := o.run(t, "req", "-newkey", "rsa:2048", "-noenc", "-keyout", "key.pem", "-out", "text.csr", "-text",
		"-newhdr", "-subj", "/C=AU/O=Internet Widgits/CN=shop.localhost", "-addext", "subjectAltName=DNS:shop.localhost",
		"-addext", "basicConstraints=critical,CA:TRUE"); !ok {
		t.Fatal(out)
	}
	issued, err = ca.SignRequest(readFile(t, filepath.Join(o.dir, "text.csr")), false, day1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const want = "left out of what the request asks for: to be a CA (basicConstraints), subject C, subject O"
	if len(issued.Notes) != 1 || issued.Notes[0] != want {
		t.Errorf("notes = %q, want %q", issued.Notes, want)
	}
	if out, ok := o.verify(t, "sslserver", issued.Certificate, "-verify_hostname", "shop.localhost"); !ok {
		t.Error(out)
	}
	_, err = ca.SignRequest(readFile(t, filepath.Join(o.dir, "key.pem")), false, day1, time.Now())
	checkRule(t, err, "that is a private key", false, "")
}
