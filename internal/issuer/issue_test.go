package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const day1 = 24 * time.Hour

// namesOf returns what is in the SAN of cert, as text.
func namesOf(cert *x509.Certificate) []string {
	names := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func TestIssueServer(t *testing.T) {
	ca := makeCA(t, "shop.example.dev")
	now := time.Now().UTC().Truncate(time.Second)
	long := strings.Repeat("a.", 120) + "test"
	for _, tt := range []struct {
		given, want []string
		verify      string
		note        string // part of the only note; "" if there is none
	}{
		{[]string{"shop.localhost"}, []string{"shop.localhost"}, "shop.localhost", ""},
		{[]string{"a.test", "*.a.test"}, []string{"a.test", "*.a.test"}, "x.a.test", ""},
		{[]string{"A.test.", "a.test", "a.TEST"}, []string{"a.test"}, "a.test", ""},
		{[]string{"bücher.test"}, []string{"xn--bcher-kva.test"}, "xn--bcher-kva.test", ""},
		{[]string{"*.Bücher.test"}, []string{"*.xn--bcher-kva.test"}, "a.xn--bcher-kva.test", ""},
		{[]string{"api.shop.example.dev"}, []string{"api.shop.example.dev"}, "api.shop.example.dev", ""},
		{[]string{"*.shop.example.dev"}, []string{"*.shop.example.dev"}, "x.shop.example.dev", ""},
		{[]string{"localhost."}, []string{"localhost"}, "localhost", ""},
		{[]string{"127.0.0.1", "::1"}, []string{"127.0.0.1", "::1"}, "::1", ""},
		{[]string{"[::1]", "0:0:0:0:0:0:0:1"}, []string{"::1"}, "::1", ""},
		{[]string{"::ffff:192.168.1.7", "192.168.1.7"}, []string{"192.168.1.7"}, "192.168.1.7", ""},
		{[]string{"my_app.test", "a.test"}, []string{"my_app.test", "a.test"}, "my_app.test", "Java refuses host names with an underscore: my_app.test"},
		{[]string{long}, []string{long}, long, ""},
	} {
		t.Run(strings.Join(tt.given, " ")[:min(30, len(strings.Join(tt.given, " ")))], func(t *testing.T) {
			issued, err := ca.Issue(Order{Names: tt.given, Life: 199 * day1}, now)
			if err != nil {
				t.Fatal(err)
			}
			cert := issued.Certificate
			checkCommon(t, cert)
			if got := namesOf(cert); !slices.Equal(got, tt.want) {
				t.Errorf("names = %q, want %q", got, tt.want)
			}
			if notes := strings.Join(issued.Notes, "\n"); notes != tt.note {
				t.Errorf("notes = %q, want %q", notes, tt.note)
			}
			if want := now.Add(-24 * time.Hour); !cert.NotBefore.Equal(want) {
				t.Errorf("not before = %v, want %v", cert.NotBefore, want)
			}
			if want := now.Add(199 * day1); !cert.NotAfter.Equal(want) {
				t.Errorf("not after = %v, want %v", cert.NotAfter, want)
			}
			if !bytes.Equal(cert.RawSubject, []byte{0x30, 0}) {
				t.Errorf("subject = %s, want none", cert.Subject)
			}
			if has, isCritical := critical(cert, extSAN); !has || !isCritical {
				t.Errorf("SAN: present %v, critical %v; want both", has, isCritical)
			}
			if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature ||
				!slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
				t.Errorf("CA %v, key usage %b, extended %v; want a server's leaf", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage)
			}
			if !issued.Key.PublicKey.Equal(cert.PublicKey) || !issued.Intermediate.Equal(ca.Intermediate()) {
				t.Error("the key or the intermediate is another one")
			}
			if err := verify(ca, cert, tt.verify); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := makeCA(t, "shop.example.dev")
	many := make([]string, 201)
	for i := range many {
		many[i] = fmt.Sprintf("a%d.test", i)
	}
	wide := make([]string, 100)
	for i := range wide {
		wide[i] = strings.Repeat("a.", 100) + many[i]
	}
	for _, tt := range []struct {
		names   []string
		problem string // part of it
		outside bool
		domain  string
	}{
		{nil, "needs a name", false, ""},
		{[]string{""}, "empty host name", false, ""},
		{[]string{"shop.example.com"}, "outside the constraints", true, "shop.example.com"},
		{[]string{"*.shop.example.com"}, "outside the constraints", true, "shop.example.com"},
		{[]string{"a.test", "b.example.com", "c.example.org"}, "; so is c.example.org", true, "b.example.com"},
		{[]string{"notlocalhost"}, "outside the constraints", true, "notlocalhost"},
		{[]string{"localhost.bank.example"}, "outside the constraints", true, "localhost.bank.example"},
		{[]string{"*.example.dev"}, "outside the constraints", true, "example.dev"},
		{[]string{"com"}, "outside the constraints", true, ""},
		{[]string{"*.github.io"}, "outside the constraints", true, ""},
		{[]string{"co.uk"}, "outside the constraints", true, ""},
		{[]string{"ck"}, "outside the constraints", true, ""},
		{[]string{"8.8.8.8"}, "outside the constraints", true, ""},
		{[]string{"0.0.0.0"}, "outside the constraints", true, ""},
		{[]string{"::"}, "outside the constraints", true, ""},
		{[]string{"224.0.0.1"}, "outside the constraints", true, ""},
		{[]string{"::ffff:8.8.8.8"}, "outside the constraints", true, ""},
		{[]string{"fe80::1%eth0"}, "zone", false, ""},
		{[]string{"10.0.0.0/8"}, "a range", false, ""},
		{[]string{"127.1"}, "ends in a number", false, ""},
		{[]string{"a.test", "127.0.0.1"}, "do not go together", false, ""},
		{[]string{"*.localhost"}, "match no name", false, ""},
		{[]string{"*.TEST."}, "match no name", false, ""},
		{[]string{"a.test", "*.test"}, "match no name", false, ""},
		{[]string{"*.com"}, "match no name", false, ""},
		{[]string{"*"}, "whole leftmost label", false, ""},
		{[]string{"*a.shop.test"}, "whole leftmost label", false, ""},
		{[]string{"a.*.test"}, "whole leftmost label", false, ""},
		{[]string{"*.*.test"}, "one wildcard only", false, ""},
		{[]string{"*..localhost"}, "empty label", false, ""},
		{[]string{"*."}, "empty host name", false, ""},
		{[]string{".localhost"}, "empty label", false, ""},
		{[]string{"localhost.."}, "empty label", false, ""},
		{[]string{"a b.test"}, "not allowed", false, ""},
		{[]string{"a\x00.test"}, "not allowed", false, ""},
		{[]string{"https://shop.localhost"}, "is a URL", false, ""},
		{[]string{"shop.localhost:8443"}, "all of its ports", false, ""},
		{[]string{"alice@shop.test"}, "e-mail address", false, ""},
		{many, "too much for one certificate", false, ""},
		{wide, "too much for one certificate", false, ""},
		{[]string{strings.Repeat("*", 1<<20)}, "longer than 253", false, ""},
		{[]string{"*." + strings.Repeat("a.", 124) + "test"}, "as short as host names must be", false, ""},
	} {
		t.Run(strings.Join(tt.names, " ")[:min(30, len(strings.Join(tt.names, " ")))], func(t *testing.T) {
			_, err := ca.Issue(Order{Names: tt.names, Life: day1}, time.Now())
			checkRule(t, err, tt.problem, tt.outside, tt.domain)
		})
	}
}

func checkRule(t *testing.T, err error, problem string, outside bool, domain string) {
	t.Helper()
	e, ok := errors.AsType[*RuleError](err)
	if !ok || !strings.Contains(e.Problem, problem) {
		t.Fatalf("error = %v, want a RuleError with %q", err, problem)
	}
	if e.Outside != outside || e.Domain != domain {
		t.Errorf("%v: outside %v, domain %q; want %v, %q", err, e.Outside, e.Domain, outside, domain)
	}
	if len(e.Problem) > 4<<10 || strings.ContainsAny(e.Problem+e.Hint, "\n\x00\x1b") {
		t.Errorf("problem of %d bytes %.200q, hint %.200q; want short lines", len(e.Problem), e.Problem, e.Hint)
	}
}

func TestIssueMany(t *testing.T) {
	ca := makeCA(t)
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("a%d.test", i)
	}
	issued, err := ca.Issue(Order{Names: slices.Concat(names, names), Life: day1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := issued.Certificate.DNSNames; !slices.Equal(got, names) {
		t.Errorf("%d names, want %d", len(got), len(names))
	}
}

func TestIssueClient(t *testing.T) {
	ca := makeCA(t)
	for _, tt := range []struct {
		name, common string
		san          []string
		note         string // part of the only note; "" if there is none
	}{
		{"alice", "alice", nil, "Java servers"},
		{"Test", "Test", nil, ""},
		{"Alice Example", "Alice Example", nil, ""},
		{"Zoë Ångström", "Zoë Ångström", nil, ""},
		{"田中", "田中", nil, ""},
		{"josé.gonzález", "josé.gonzález", nil, ""},
		{"alice@example.com", "alice@example.com", []string{"alice@example.com"}, ""},
		{"alice@Bücher.example", "alice@Bücher.example", []string{"alice@xn--bcher-kva.example"}, ""},
		{"josé@example.com", "josé@example.com", nil, "no e-mail address"},
		{"alice@", "alice@", nil, "no e-mail address"},
		{"Worker.Test", "worker.test", []string{"worker.test"}, ""},
		{strings.Repeat("é", 64), strings.Repeat("é", 64), nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issued, err := ca.Issue(Order{Client: tt.name, Life: day1}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			cert := issued.Certificate
			checkCommon(t, cert)
			if cert.Subject.CommonName != tt.common || len(cert.Subject.Names) != 1 {
				t.Errorf("subject = %s, want the common name %q", cert.Subject, tt.common)
			}
			if got := namesOf(cert); !slices.Equal(got, tt.san) {
				t.Errorf("names = %q, want %q", got, tt.san)
			}
			if notes := strings.Join(issued.Notes, "\n"); !strings.Contains(notes, tt.note) || (notes == "") != (tt.note == "") {
				t.Errorf("notes = %q, want %q", notes, tt.note)
			}
			if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature ||
				!slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
				t.Errorf("CA %v, key usage %b, extended %v; want a client's leaf", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage)
			}
			if err := verifyFor(ca, cert, "", x509.ExtKeyUsageClientAuth); err != nil {
				t.Error(err)
			}
			if err := verifyFor(ca, cert, "", x509.ExtKeyUsageServerAuth); err == nil {
				t.Error("it may be a server, too")
			}
		})
	}
}

func verifyFor(ca *CA, leaf *x509.Certificate, name string, usage x509.ExtKeyUsage) error {
	intermediates := x509.NewCertPool()
	intermediates.AddCert(ca.Intermediate())
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName: name, Roots: rootPool(ca), Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err
}

func TestIssueClientRefuses(t *testing.T) {
	ca := makeCA(t)
	for _, tt := range []struct {
		name, problem string
		outside       bool
		domain        string
	}{
		{"alice.example.com", "outside the constraints", true, "alice.example.com"},
		{"Alice.Smith", "outside the constraints", true, "alice.smith"},
		{"co.uk", "outside the constraints", true, ""},
		{"127.0.0.1", "is an address", false, ""},
		{"::1", "is an address", false, ""},
		{"*.a.test", "no wildcard", false, ""},
		{" ", "needs a name", false, ""},
		{"alice ", "ends with a space", false, ""},
		{"alice\n", "ends with a space", false, ""},
		{"al\x00ice", "cannot be seen", false, ""},
		{"al\x1bice", "cannot be seen", false, ""},
		{"al\u202eice", "cannot be seen", false, ""},
		{"al\u200bice", "cannot be seen", false, ""},
		{"al\u2066ice", "cannot be seen", false, ""},
		{"al\xffice", "not UTF-8", false, ""},
		{strings.Repeat("a", 65), "longer than 64", false, ""},
		{strings.Repeat("a", 1<<20), "longer than 64", false, ""},
		{strings.Repeat("a.", 40) + "test", "longer than 64", false, ""},
	} {
		t.Run(tt.name[:min(30, len(tt.name))], func(t *testing.T) {
			_, err := ca.Issue(Order{Client: tt.name, Life: day1}, time.Now())
			checkRule(t, err, tt.problem, tt.outside, tt.domain)
		})
	}
}

func TestIssueLife(t *testing.T) {
	ca := makeCA(t)
	now := time.Now()
	for _, life := range []time.Duration{0, -day1, day1 - time.Second, 199*day1 + 1, 200 * day1} {
		_, err := ca.Issue(Order{Names: []string{"a.test"}, Life: life}, now)
		checkRule(t, err, "1 to 199 days", false, "")
	}
	_, err := ca.Issue(Order{Names: []string{"a.test"}, Client: "alice", Life: day1}, now)
	checkRule(t, err, "not for both", false, "")

	end := ca.Intermediate().NotAfter
	near := end.Add(-10 * day1)
	issued, err := ca.Issue(Order{Names: []string{"a.test"}, Life: 30 * day1}, near)
	if err != nil {
		t.Fatal(err)
	}
	if !issued.Certificate.NotAfter.Equal(end) {
		t.Errorf("not after = %v, want the CA's end %v", issued.Certificate.NotAfter, end)
	}
	if want := "it ends with the CA, on " + day(end) + ", not on " + day(near.Add(30*day1)); !slices.Equal(issued.Notes, []string{want}) {
		t.Errorf("notes = %q, want %q", issued.Notes, want)
	}
	if _, err := ca.Issue(Order{Names: []string{"a.test"}, Life: day1}, end); err == nil {
		t.Error("an expired CA has signed")
	}
}

// TestLockedCA signs with a CA whose key is locked.
func TestLockedCA(t *testing.T) {
	ca := makeCA(t)
	locked := &CA{root: ca.root, intermediate: ca.intermediate, constraints: ca.constraints}
	if _, err := locked.Issue(Order{Names: []string{"a.test"}, Life: day1}, time.Now()); !errors.Is(err, errLocked) {
		t.Errorf("Issue: %v, want errLocked", err)
	}
	if _, err := locked.RevocationList(nil, nil, time.Now()); !errors.Is(err, errLocked) {
		t.Errorf("RevocationList: %v, want errLocked", err)
	}
}

func TestPublicKeyID(t *testing.T) {
	ca := makeCA(t)
	got, err := publicKeyID(&ca.key.PublicKey)
	if want := keyID(&ca.key.PublicKey); err != nil || !bytes.Equal(got, want) {
		t.Errorf("ECDSA: %x, %v; want %x", got, err, want)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := publicKeyID(&key.PublicKey); err != nil || len(got) != 20 {
		t.Errorf("RSA: %x, %v; want 20 bytes", got, err)
	}
	if _, err := publicKeyID((*ecdsa.PrivateKey)(nil)); err == nil {
		t.Error("a private key has an identifier")
	}
}
