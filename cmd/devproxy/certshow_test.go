package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
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
		{"a CA with its key", p.keyPEM(between.key) + chainText(between), showOptions{}, "ca", "", []string{"ca as a CA ok: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
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
	if err := os.WriteFile(ledger.Path(state), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ = p.show(file, showOptions{})
	p.expectChecks(r, "verify shop.example ok: ", "revoked revoked unknown: cannot tell")
}

// TestCertShowOthers: keys, requests and revocation lists are shown, and never
// a private key.
func TestCertShowOthers(t *testing.T) {
	p := newPatient(t)
	root, _ := p.authority()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
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
			p.t = t
			file := p.write("shown.pem", tt.text, 0o600)
			r, _ := p.show(file, showOptions{})
			p.expectChecks(r, tt.want...)
			text, _ := p.showText(file, showOptions{})
			for _, want := range tt.shows {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
			if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, fmt.Sprintf("%x", key.D)) {
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
			p.t = t
			file := p.write("hostile.pem", tt.text, 0o600)
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
		t.Skip("no openssl here")
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
