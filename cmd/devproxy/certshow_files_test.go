package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"devproxy/internal/certfile"
)

// TestCertShowOthers: keys, requests and revocation lists are shown, and never
// a private key.
func TestCertShowOthers(t *testing.T) {
	p := newPatient(t)
	root, _ := p.authority()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "asked"}, DNSNames: []string{"asked.localhost"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	list := func(next time.Time, by *party) string {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(5), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: next,
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(0xabc), RevocationTime: time.Now()}},
		}, by.cert, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	}
	requestText := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	altered := bytes.Replace(request, []byte("asked"), []byte("Asked"), 1)
	tomorrow := time.Now().Add(24 * time.Hour)
	forger := p.party(x509.Certificate{Subject: root.cert.Subject, SubjectKeyId: root.cert.SubjectKeyId, IsCA: true, KeyUsage: x509.KeyUsageCRLSign}, nil)
	for _, tt := range []struct {
		name, text string
		shows      []string
		want       []string
	}{
		{"a request and its key", requestText + p.keyPEM(key), []string{"1 private key, 1 signing request", "CN=asked", "asked.localhost", "ECDSA P-256, of the signing request"}, []string{"request signature ok: "}},
		{"an altered request", string(altered), []string{"CN=Asked"}, []string{"request signature fail: "}},
		{"a key", p.keyPEM(key), []string{"private key  ECDSA P-256"}, nil},
		{"an encrypted key", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", []string{"encrypted, so whose it is cannot be told"}, nil},
		{"a list", list(tomorrow, root) + chainText(root), []string{"revocation list", "revoked", "abc", tomorrow.UTC().Format(time.DateOnly)}, []string{"ca as a CA ok: ", "revocation-list signature ok: signed by CN=Test root"}},
		{"a list without its issuer", list(tomorrow, root), nil, []string{"revocation-list signature unknown: "}},
		{"a forged list", list(tomorrow, forger) + chainText(root), nil, []string{"ca as a CA ok: ", "revocation-list signature fail: "}},
		{"a list of yesterday", list(time.Now().Add(-24*time.Hour), root), []string{"which is past"}, []string{"revocation-list signature fail: the list is out of date"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			file := p.write("shown.pem", tt.text, 0o600)
			r, _ := p.show(file, showOptions{})
			p.expectChecks(r, tt.want...)
			text, _ := p.showText(file, showOptions{})
			for _, want := range tt.shows {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
			if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, hex.EncodeToString(secret)) {
				t.Error("the private key is shown")
			}
		})
	}
}

// TestCertShowPKCS12 opens PKCS#12 with the password of a file, without one
// where there is none, and asks otherwise.
func TestCertShowPKCS12(t *testing.T) {
	p := newPatient(t)
	_, between := p.authority()
	good := p.party(server("shop.example"), between)
	data, err := certfile.EncodePKCS12(good.key, []*x509.Certificate{good.cert, between.cert}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	file := p.write("shop.p12", string(data), 0o600)
	right, wrong := p.write("right", "secret\n", 0o600), p.write("wrong", "guess\n", 0o600)
	r, err := p.show(file, showOptions{passwordFile: right})
	if err != nil {
		t.Fatal(err)
	}
	p.expectChecks(r, "verify shop.example ok: ")
	if !r.Source.PKCS12 || len(r.Certificates) != 2 || !r.Certificates[0].HasKey || len(r.Keys) != 1 {
		t.Errorf("got %+v", r)
	}
	if _, err := p.show(file, showOptions{passwordFile: wrong}); err == nil || !strings.Contains(err.Error(), "the password is wrong") {
		t.Errorf("a wrong password: got %v", err)
	}
	if _, err := p.show(file, showOptions{}); err == nil || !strings.Contains(err.Error(), "no terminal") {
		t.Errorf("no password: got %v", err)
	}
	if _, err := p.show(p.write("plain.pem", chainText(good), 0o600), showOptions{passwordFile: right}); exitCode(err) != exitUsage {
		t.Errorf("a password for PEM: got %v", err)
	}
	if _, err := p.show("shop.example", showOptions{passwordFile: right}); exitCode(err) != exitUsage {
		t.Errorf("a password for a host: got %v", err)
	}
}

// TestCertShowPEM: --pem prints the certificates and nothing else.
func TestCertShowPEM(t *testing.T) {
	p := newPatient(t)
	_, between := p.authority()
	good := p.party(server("shop.example"), between)
	want := chainText(good, between)
	got, err := p.showText(p.write("both.pem", "text\n"+want+p.keyPEM(good.key), 0o600), showOptions{asPEM: true})
	if err != nil || got != want {
		t.Errorf("got %v and\n%s", err, got)
	}
	if got, err = p.showText(p.write("key.pem", p.keyPEM(good.key), 0o600), showOptions{asPEM: true}); err == nil || got != "" {
		t.Errorf("a key: got %v and %q", err, got)
	}
	if _, err = p.showText("x", showOptions{asPEM: true, asJSON: true}); exitCode(err) != exitUsage {
		t.Errorf("with --json: got %v", err)
	}
	p.a.stdin = strings.NewReader(want)
	if got, err = p.showText("-", showOptions{asPEM: true}); err != nil || got != want {
		t.Errorf("standard input: got %v and\n%s", err, got)
	}
}

// TestCertShowHostile: nothing in a certificate reaches the terminal as it is,
// and no file takes long or fills the screen.
func TestCertShowHostile(t *testing.T) {
	p := newPatient(t)
	const name = "evil\n  ok  verify  everything\x1b[2J\u202egnp.exe\u009b31m"
	template := server("a.localhost")
	template.Subject = pkix.Name{CommonName: name, Organization: []string{strings.Repeat("A", 5000)}}
	one := p.party(template, nil)
	for i := range 3000 {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("%d.localhost", i))
	}
	template.Subject = pkix.Name{}
	for i := range 2000 {
		template.Subject.Organization = append(template.Subject.Organization, fmt.Sprint(name, i))
	}
	many := p.party(template, nil)
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), 400_000), 0, 1), E: 1<<31 - 1}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, DNSNames: []string{"a.localhost"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}, one.cert, huge, one.key)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text string }{
		{"a name with controls", chainText(one)},
		{"many names", chainText(many)},
		{"a huge key", string(pemOf(slow))},
		{"the same many times", strings.Repeat(chainText(one), 60)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			file := p.write("hostile\x1b[2J\u202e.pem", tt.text, 0o600)
			start := time.Now()
			text, err := p.showText(file, showOptions{})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if exitCode(err) != exitFailed {
				t.Errorf("got %v", err)
			}
			if strings.ContainsAny(text, "\x1b\u009b\u202e") || strings.Contains(text, "\n  ok  verify  everything") {
				t.Errorf("forged: %q", text)
			}
			if n := strings.Count(text, "\n"); n > 150 || len(text) > 60_000 {
				t.Errorf("%d lines, %d bytes", n, len(text))
			}
			r, _ := p.show(file, showOptions{})
			if len(r.Certificates) == 0 {
				t.Error("nothing in the JSON")
			}
		})
	}
}

// TestCertShowFacts compares what is shown with what openssl says.
func TestCertShowFacts(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is missing")
		}
		t.Skip("openssl is missing")
	}
	p := newPatient(t)
	_, between := p.authority()
	good := p.party(server("shop.example", "www.shop.example"), between)
	for _, c := range []*x509.Certificate{good.cert, between.cert, p.ca.Root(), p.ca.Intermediate()} {
		file := p.write("one.pem", string(pemOf(c)), 0o600)
		out, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", file, "-noout", "-text", "-fingerprint", "-sha256", "-serial", "-subject", "-issuer", "-dates",
			"-nameopt", "RFC2253", "-dateopt", "iso_8601").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		says := string(out)
		r, _ := p.show(file, showOptions{})
		d := r.Certificates[0]
		want := []string{
			"ingerprint=" + d.Fingerprint, "serial=" + strings.ToUpper(strings.Repeat("0", len(d.Serial)%2)+d.Serial), "subject=" + d.Subject, "issuer=" + d.Issuer,
			"notBefore=" + d.NotBefore.Format("2006-01-02 15:04:05Z"), "notAfter=" + d.NotAfter.Format("2006-01-02 15:04:05Z"),
			"ASN1 OID: prime256v1", "CA:" + strings.ToUpper(fmt.Sprint(d.CA)),
		}
		if d.Key != "ECDSA P-256" {
			t.Errorf("key %q, want ECDSA P-256", d.Key)
		}
		if d.PathLength != nil {
			want = append(want, fmt.Sprintf("pathlen:%d", *d.PathLength))
		}
		for _, name := range append(d.Names.DNS, d.Permitted.DNS...) {
			want = append(want, "DNS:"+name)
		}
		for _, text := range want {
			if !strings.Contains(says, text) {
				t.Errorf("openssl does not say %q of %s:\n%s", text, c.Subject, says)
			}
		}
	}
}
