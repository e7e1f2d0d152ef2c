package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
)

// A party is a certificate with its key.
type party struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// party makes a certificate from template, signed by another or, if that is
// nil, by itself. It is valid today unless template says otherwise.
func (p *patient) party(template x509.Certificate, by *party) *party {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.partyWith(key, template, by)
}

func (p *patient) partyWith(key crypto.Signer, template x509.Certificate, by *party) *party {
	p.t.Helper()
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(100*time.Hour)
	}
	template.BasicConstraintsValid = true
	if by == nil {
		by = &party{&template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.cert, key.Public(), by.key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return &party{cert, key}
}

// authority makes a CA that the system trusts beside devproxy's.
func (p *patient) authority() (root, between *party) {
	p.t.Helper()
	root = p.party(x509.Certificate{Subject: pkix.Name{CommonName: "Test root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, nil)
	between = p.party(x509.Certificate{Subject: pkix.Name{CommonName: "Test intermediate"}, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign}, root)
	p.e.systemFiles = []string{p.write("system.pem", string(pemOf(p.ca.Root()))+string(pemOf(root.cert)), 0o644)}
	return root, between
}

func server(names ...string) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: "a server"}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// served returns what devproxy presents for host.
func (p *patient) served(host string) *tls.Certificate {
	p.t.Helper()
	iss, err := issuer.New(p.ca, issuer.Config{})
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := iss.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		p.t.Fatal(err)
	}
	return cert
}

func (p *patient) keyPEM(key crypto.PrivateKey) string {
	p.t.Helper()
	text, err := certfile.EncodeKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func chainText(parties ...*party) string {
	var text strings.Builder
	for _, one := range parties {
		text.Write(pemOf(one.cert))
	}
	return text.String()
}

// in returns p for a subtest.
func (p *patient) in(t *testing.T) *patient {
	sub := *p
	sub.t = t
	return &sub
}

// show runs cert show --json and returns its report.
func (p *patient) show(arg string, o showOptions) (shownReport, error) {
	p.t.Helper()
	o.asJSON = true
	text, err := p.showText(arg, o)
	var r shownReport
	if text != "" {
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			p.t.Fatalf("%v in:\n%s", err, text)
		}
		if (err == nil) != r.OK {
			p.t.Errorf("ok is %v, and the error %v", r.OK, err)
		}
	}
	return r, err
}

func (p *patient) showText(arg string, o showOptions) (string, error) {
	p.t.Helper()
	p.a.configFile = p.write("devproxy.toml", fmt.Sprintf(p.toml, p.at), 0o600)
	out := &bytes.Buffer{}
	p.a.stdout, p.a.ui.out = out, out
	p.e.seen = evidence{}
	err := p.a.certShow(p.t.Context(), p.e, arg, o)
	return out.String(), err
}

// expectChecks compares the checks of a report, written "check subject state: beginning of the detail".
func (p *patient) expectChecks(r shownReport, want ...string) {
	p.t.Helper()
	var got []string
	for _, c := range r.Checks {
		got = append(got, fmt.Sprintf("%s %s %s: %s", c.Check, c.Subject, c.State, c.Detail))
	}
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		p.t.Errorf("got the checks\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
