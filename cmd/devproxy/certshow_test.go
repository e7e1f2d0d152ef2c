package main

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

func TestCertShowVerdicts(t *testing.T) {
	p := newPatient(t)
	root, between := p.authority()
	ours := p.served("shop.localhost")
	oursText := ""
	for _, der := range ours.Certificate {
		oursText += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	good := p.party(server("shop.example"), between)
	client := p.party(x509.Certificate{Subject: pkix.Name{CommonName: "alice"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, between)
	past := server("old.example")
	past.NotBefore, past.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	lateClient := x509.Certificate{Subject: pkix.Name{CommonName: "bob"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: past.NotBefore, NotAfter: past.NotAfter}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		options    showOptions
		purpose    string
		judgedFor  string
		want       []string
	}{
		{"devproxy's", oursText, showOptions{}, "server", "shop.localhost", []string{"verify shop.localhost ok: clients here that trust the devproxy root accept it"}},
		{"devproxy's for another name", oursText, showOptions{name: "other.localhost"}, "server", "other.localhost", []string{"verify wrong-host fail: "}},
		{"a public one", chainText(good, between), showOptions{}, "server", "shop.example", []string{"verify shop.example ok: clients here accept it: verifies against "}},
		{"without the intermediate", chainText(good), showOptions{}, "server", "shop.example", []string{"verify unknown-issuer fail: "}},
		{"with the root", chainText(good, between, root), showOptions{}, "server", "shop.example", []string{"verify shop.example ok: ", `note chain ok: the root "Test root" is sent`}},
		{"expired", chainText(p.party(past, between), between), showOptions{}, "server", "old.example", []string{"verify expired fail: "}},
		{"self-signed", chainText(p.party(server("a.localhost"), nil)), showOptions{}, "server", "a.localhost", []string{"verify self-signed fail: "}},
		{"self-signed by devproxy", chainText(p.party(x509.Certificate{Subject: pkix.Name{Organization: []string{"devproxy"}}, DNSNames: []string{"a.localhost"}}, nil)), showOptions{}, "server", "a.localhost", []string{"verify self-signed fail: "}},
		{"a wildcard", chainText(p.party(server("*.shop.example"), between), between), showOptions{}, "server", "any.shop.example", []string{"verify any.shop.example ok: "}},
		{"a weak key", chainText(p.partyWith(small, server("weak.example"), between), between), showOptions{}, "server", "weak.example", []string{"verify weak-key warn: ", "verify weak.example ok: "}},
		{"no name", chainText(p.party(x509.Certificate{}, between), between), showOptions{}, "server", "", []string{"verify names fail: the certificate names no host"}},
		{"its common name only", chainText(p.party(x509.Certificate{Subject: pkix.Name{CommonName: "cn.example"}}, between), between), showOptions{}, "server", "cn.example", []string{"verify common-name-only fail: "}},
		{"an address", chainText(p.party(x509.Certificate{Subject: pkix.Name{CommonName: "x"}, IPAddresses: []net.IP{net.IPv6loopback}}, between), between), showOptions{}, "server", "::1", []string{"verify ::1 ok: "}},
		{"a client", chainText(client, between), showOptions{}, "client", "", []string{"client as a client ok: leads to a root that is trusted here"}},
		{"a client as a server", chainText(client, between), showOptions{name: "alice.example"}, "server", "alice.example", []string{"verify wrong-host fail: ", "verify wrong-usage fail: "}},
		{"an expired client", chainText(p.party(lateClient, between), between), showOptions{}, "client", "", []string{"client as a client fail: it expired on "}},
		{"a stranger's client", chainText(p.party(x509.Certificate{Subject: pkix.Name{CommonName: "eve"}, ExtKeyUsage: client.cert.ExtKeyUsage}, nil)), showOptions{}, "client", "", []string{"client as a client fail: it does not lead to a root that is trusted here"}},
		{"our root", string(pemOf(p.ca.Root())), showOptions{}, "ca", "", []string{"ca as a CA ok: leads to the devproxy root"}},
		{"our intermediate", string(pemOf(p.ca.Intermediate())), showOptions{}, "ca", "", []string{"ca as a CA ok: leads to the devproxy root"}},
		{"a bundle", chainText(root, between), showOptions{}, "ca", "", []string{"ca as a CA ok: leads to a root that is trusted here", "note the others ok: "}},
		{"another's root", chainText(p.party(x509.Certificate{Subject: pkix.Name{CommonName: "x"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, nil)), showOptions{}, "ca", "", []string{"ca as a CA fail: "}},
		{"signs code", chainText(p.party(x509.Certificate{Subject: pkix.Name{CommonName: "x"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}, between), between), showOptions{}, "other", "", []string{"verify for signing code ok: "}},
		{"damaged", chainText(good, between) + "-----BEGIN CERTIFICATE-----\n", showOptions{}, "server", "shop.example", []string{"file damaged fail: ", "verify shop.example ok: "}},
		{"its key", p.keyPEM(good.key) + chainText(good, between), showOptions{}, "server", "shop.example", []string{"verify shop.example ok: "}},
		{"another's key", p.keyPEM(client.key) + chainText(good, between), showOptions{}, "server", "shop.example", []string{"key private key fail: the private key is that of none of the certificates", "verify shop.example ok: "}},
		{"the key of the second", p.keyPEM(between.key) + chainText(good, between), showOptions{}, "server", "shop.example", []string{"key private key fail: the private key is that of certificate 2", "verify shop.example ok: "}},
		{"a CA with its key", p.keyPEM(between.key) + chainText(root, between), showOptions{}, "ca", "", []string{"ca as a CA ok: ", "note the others ok: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := p.in(t)
			r, _ := p.show(p.write("shown.pem", tt.text, 0o600), tt.options)
			if r.Schema != 1 || r.Source.Kind != "file" || r.Purpose != tt.purpose || r.JudgedFor != tt.judgedFor {
				t.Errorf("got %+v as %q for %q, want %q for %q", r.Source, r.Purpose, r.JudgedFor, tt.purpose, tt.judgedFor)
			}
			p.expectChecks(r, tt.want...)
		})
	}
}

// TestCertShowCauses: a red verdict carries what clients call it, and the fix.
func TestCertShowCauses(t *testing.T) {
	p := newPatient(t)
	file := p.write("self.pem", chainText(p.party(server("a.localhost"), nil)), 0o600)
	text, err := p.showText(file, showOptions{})
	if exitCode(err) != exitFailed {
		t.Errorf("got %v, want exit code %d", err, exitFailed)
	}
	for _, want := range []string{"X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT (18)", "Python: ssl.SSLCertVerificationError", "Chromium: NET::ERR_CERT_AUTHORITY_INVALID", "Firefox: MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT", "fix: use a certificate of a CA"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// TestCertShowWithoutOurRoot: what only devproxy's root proves is accepted, and
// that the system lacks the root is said; devproxy's of another CA is not.
func TestCertShowWithoutOurRoot(t *testing.T) {
	p := newPatient(t)
	ours := p.served("shop.localhost")
	var chain []*x509.Certificate
	for _, der := range ours.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	file := p.write("ours.pem", string(certfile.EncodeCertificates(chain...)), 0o600)
	stranger := p.party(x509.Certificate{Subject: pkix.Name{CommonName: "x"}, IsCA: true}, nil)
	p.e.systemFiles = []string{p.write("system.pem", chainText(stranger), 0o644)}
	r, _ := p.show(file, showOptions{})
	p.expectChecks(r, "verify shop.localhost ok: clients here that trust the devproxy root", "verify this system warn: ")

	p.e.systemFiles = nil
	r, _ = p.show(file, showOptions{})
	p.expectChecks(r, "verify shop.localhost ok: clients here that trust the devproxy root")
	r, _ = p.show(p.write("self.pem", chainText(p.party(server("a.localhost"), nil)), 0o600), showOptions{})
	p.expectChecks(r, "verify a.localhost unknown: ")

	p.e.systemFiles = []string{filepath.Join(p.home, "system.pem")}
	state := filepath.Join(p.home, "another")
	if _, _, err := issuer.LoadOrCreate(state, nil); err != nil {
		t.Fatal(err)
	}
	p.env["DEVPROXY_HOME"] = state
	r, err := p.show(file, showOptions{})
	p.expectChecks(r, "verify unknown-issuer fail: ", "note another CA ok: a devproxy issued it")
	if exitCode(err) != exitFailed {
		t.Errorf("got %v, want exit code %d", err, exitFailed)
	}
}

// TestCertShowRevoked: what the ledger says of the certificate is said.
func TestCertShowRevoked(t *testing.T) {
	p := newPatient(t)
	_, between := p.authority()
	good := p.party(server("shop.example"), between)
	file := p.write("shop.pem", chainText(good, between), 0o600)
	sum := fmt.Sprintf("%x", sha256.Sum256(good.cert.Raw))
	entry := ledger.Entry{
		Serial: good.cert.SerialNumber.Text(16), Kind: ledger.Server, Names: good.cert.DNSNames, Fingerprint: sum,
		NotBefore: good.cert.NotBefore, NotAfter: good.cert.NotAfter, Issued: time.Now(), Root: sum,
	}
	state := p.env["DEVPROXY_HOME"]
	if err := ledger.Add(t.Context(), state, entry, nil); err != nil {
		t.Fatal(err)
	}
	r, _ := p.show(file, showOptions{})
	p.expectChecks(r, "verify shop.example ok: ")
	if _, err := ledger.Revoke(t.Context(), state, entry.Serial, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	r, _ = p.show(file, showOptions{})
	p.expectChecks(r, "verify shop.example ok: ", "revoked revoked fail: it was revoked on ")
	disguised := *good
	disguised.cert = withOtherSignature(t, good.cert)
	r, _ = p.show(p.write("disguised.pem", chainText(&disguised, between), 0o600), showOptions{})
	p.expectChecks(r, "verify shop.example ok: ", "revoked revoked fail: it was revoked on ")
	if err := os.WriteFile(ledger.Path(state), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ = p.show(file, showOptions{})
	p.expectChecks(r, "verify shop.example ok: ", "revoked revoked unknown: cannot tell")
}

// withOtherSignature writes the signature of a certificate in its other valid way,
// which needs no key: (r, -s) for (r, s).
func withOtherSignature(t *testing.T, cert *x509.Certificate) *x509.Certificate {
	t.Helper()
	var signed struct {
		Inner, Algorithm asn1.RawValue
		Signature        asn1.BitString
	}
	var signature struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(cert.Raw, &signed); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(signed.Signature.Bytes, &signature); err != nil {
		t.Fatal(err)
	}
	signature.S.Sub(elliptic.P256().Params().N, signature.S)
	other, err := asn1.Marshal(signature)
	if err != nil {
		t.Fatal(err)
	}
	signed.Signature = asn1.BitString{Bytes: other, BitLength: 8 * len(other)}
	der, err := asn1.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
