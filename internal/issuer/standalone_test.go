package issuer

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSelfSigned(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	long := strings.Repeat("a.", 120) + "test"
	for _, tt := range []struct {
		given, want []string
		common      string
	}{
		{[]string{"shop.example.com", "*.shop.example.com"}, []string{"shop.example.com", "*.shop.example.com"}, "shop.example.com"},
		{[]string{"localhost", "127.0.0.1"}, []string{"localhost", "127.0.0.1"}, "localhost"},
		{[]string{"8.8.8.8"}, []string{"8.8.8.8"}, "8.8.8.8"},
		{[]string{long}, []string{long}, ""},
	} {
		issued, err := SelfSigned(tt.given, 30*day1, now)
		if err != nil {
			t.Fatal(err)
		}
		cert := issued.Certificate
		checkCommon(t, cert)
		if got := namesOf(cert); !slices.Equal(got, tt.want) || cert.Subject.CommonName != tt.common {
			t.Errorf("%q: names %q, subject %s; want %q, common name %q", tt.given, got, cert.Subject, tt.want, tt.common)
		}
		if !cert.NotBefore.Equal(now.Add(-day1)) || !cert.NotAfter.Equal(now.Add(30*day1)) {
			t.Errorf("valid from %v to %v", cert.NotBefore, cert.NotAfter)
		}
		if has, isCritical := critical(cert, extBasicConstraints); cert.IsCA || !has || !isCritical || cert.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("CA %v, basic constraints %v, key usage %b; want what says that it is no CA", cert.IsCA, has, cert.KeyUsage)
		}
		if !bytes.Equal(cert.RawIssuer, cert.RawSubject) || len(cert.RawIssuer) <= 2 || !bytes.Equal(cert.AuthorityKeyId, cert.SubjectKeyId) {
			t.Errorf("issuer %s, subject %s; want one, not empty", cert.Issuer, cert.Subject)
		}
		if issued.Intermediate != nil || !issued.Key.PublicKey.Equal(cert.PublicKey) {
			t.Error("an intermediate, or another key")
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: strings.Replace(tt.want[len(tt.want)-1], "*", "x", 1)}); err != nil {
			t.Error(err)
		}
	}
	for problem, names := range map[string][]string{"needs a name": nil, "match no name": {"*.test"}, "ends in a number": {"1.2.3"}} {
		_, err := SelfSigned(names, day1, now)
		checkRule(t, err, problem, false, "")
	}
	_, err := SelfSigned([]string{"a.test"}, 200*day1, now)
	checkRule(t, err, "1 to 199 days", false, "")
}

func TestNewRequest(t *testing.T) {
	for _, tt := range []struct {
		names []string
		note  string
	}{
		{[]string{"bank.example", "*.bank.example"}, ""},
		{[]string{"localhost", "127.0.0.1"}, "not for both in one certificate"},
		{[]string{"a_b.test"}, "underscore"},
	} {
		der, key, notes, err := NewRequest(tt.names)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(notes, "\n"); !strings.Contains(got, tt.note) || (got == "") != (tt.note == "") {
			t.Errorf("%q: notes %q, want %q", tt.names, notes, tt.note)
		}
		req, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := req.CheckSignature(); err != nil || !key.PublicKey.Equal(req.PublicKey) {
			t.Errorf("%v, or another key", err)
		}
		if got := namesOf(&x509.Certificate{DNSNames: req.DNSNames, IPAddresses: req.IPAddresses}); !slices.Equal(got, tt.names) || req.Subject.CommonName != tt.names[0] {
			t.Errorf("names %q, subject %s; want %q", got, req.Subject, tt.names)
		}
	}
	_, _, _, err := NewRequest([]string{"*.localhost"})
	checkRule(t, err, "match no name", false, "")
}

func TestRevocationList(t *testing.T) {
	ca := makeCA(t)
	now := time.Now().UTC().Truncate(time.Second)
	end := ca.Intermediate().NotAfter
	for _, tt := range []struct{ now, from, until time.Time }{
		{now, now.Add(-day1), now.Add(30 * day1)},
		{end.Add(-day1), end.Add(-2 * day1), end},
	} {
		want := x509.RevocationListEntry{SerialNumber: big.NewInt(12345), RevocationTime: now.Add(-time.Hour), ReasonCode: 1}
		der, err := ca.RevocationList([]x509.RevocationListEntry{want}, big.NewInt(7), tt.now)
		if err != nil {
			t.Fatal(err)
		}
		crl, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := crl.CheckSignatureFrom(ca.Intermediate()); err != nil {
			t.Error(err)
		}
		if !crl.ThisUpdate.Equal(tt.from) || !crl.NextUpdate.Equal(tt.until) || crl.Number.Int64() != 7 {
			t.Errorf("number %v, from %v to %v; want 7, %v, %v", crl.Number, crl.ThisUpdate, crl.NextUpdate, tt.from, tt.until)
		}
		got := crl.RevokedCertificateEntries
		if len(got) != 1 || got[0].SerialNumber.Cmp(want.SerialNumber) != 0 || !got[0].RevocationTime.Equal(want.RevocationTime) || got[0].ReasonCode != 1 {
			t.Errorf("entries = %v, want %v", got, want)
		}
	}
	if _, err := ca.RevocationList(nil, nil, now); err == nil {
		t.Error("a list without a number was signed")
	}
	if _, err := ca.RevocationList(nil, big.NewInt(1), end); err == nil {
		t.Error("an expired CA has signed")
	}
}
