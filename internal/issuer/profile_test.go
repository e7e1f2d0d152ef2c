package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// critical reports whether cert has the extension 2.5.29.arc, and as critical.
func critical(cert *x509.Certificate, arc int) (has, isCritical bool) {
	for _, ext := range cert.Extensions {
		if ext.Id.Equal([]int{2, 5, 29, arc}) {
			return true, ext.Critical
		}
	}
	return false, false
}

// Extensions of RFC 5280, section 4.2.1, by the last number of their id.
const (
	extKeyUsage         = 15
	extSAN              = 17
	extBasicConstraints = 19
	extNameConstraints  = 30
)

func checkCommon(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	if cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Errorf("signature algorithm = %v, want ECDSA with SHA-256", cert.SignatureAlgorithm)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		t.Fatalf("public key is a %T, want ECDSA on P-256", cert.PublicKey)
	}
	if cert.Version != 3 {
		t.Errorf("version = %d, want 3", cert.Version)
	}
	if n := cert.SerialNumber; n.Sign() <= 0 || n.BitLen() < 64 || n.BitLen() > 159 {
		t.Errorf("serial number has sign %d and %d bits, want positive, 64 to 159 bits", n.Sign(), n.BitLen())
	}
	if !bytes.Equal(cert.SubjectKeyId, keyID(key)) {
		t.Errorf("subject key id = %x, want %x", cert.SubjectKeyId, keyID(key))
	}
	if has, isCritical := critical(cert, extKeyUsage); !has || !isCritical {
		t.Errorf("key usage: present %v, critical %v; want both", has, isCritical)
	}
}

func TestRootAndIntermediate(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	constraints := NewConstraints([]string{"shop.example.dev"})
	ca, err := newCA(constraints, now)
	if err != nil {
		t.Fatal(err)
	}
	for role, cert := range map[string]*x509.Certificate{"root": ca.Root(), "intermediate": ca.Intermediate()} {
		t.Run(role, func(t *testing.T) {
			checkCommon(t, cert)
			if want := now.Add(-48 * time.Hour); !cert.NotBefore.Equal(want) {
				t.Errorf("not before = %v, want %v", cert.NotBefore, want)
			}
			if want := now.AddDate(10, 0, 0); !cert.NotAfter.Equal(want) {
				t.Errorf("not after = %v, want %v", cert.NotAfter, want)
			}
			if has, isCritical := critical(cert, extBasicConstraints); !cert.IsCA || !has || !isCritical {
				t.Errorf("basic constraints: CA %v, present %v, critical %v; want all", cert.IsCA, has, isCritical)
			}
			if want := x509.KeyUsageCertSign | x509.KeyUsageCRLSign; cert.KeyUsage != want {
				t.Errorf("key usage = %b, want %b", cert.KeyUsage, want)
			}
			if has, isCritical := critical(cert, extNameConstraints); !has || !isCritical {
				t.Errorf("name constraints: present %v, critical %v; want both", has, isCritical)
			}
			want := []string{"localhost", "test", "internal", "local", "home.arpa", "shop.example.dev"}
			if !slices.Equal(cert.PermittedDNSDomains, want) {
				t.Errorf("permitted names = %q, want %q", cert.PermittedDNSDomains, want)
			}
			got, err := constraintsOf(cert)
			if err != nil || !reflect.DeepEqual(got, constraints) {
				t.Errorf("constraints = %v, %v; want %v", got, err, constraints)
			}
			if len(cert.DNSNames)+len(cert.IPAddresses) > 0 {
				t.Error("a CA certificate has names of its own")
			}
		})
	}

	root, intermediate := ca.Root(), ca.Intermediate()
	if root.MaxPathLen != -1 || len(root.ExtKeyUsage) > 0 {
		t.Errorf("root: path length %d, extended key usage %v; want neither", root.MaxPathLen, root.ExtKeyUsage)
	}
	if !bytes.Equal(root.RawIssuer, root.RawSubject) {
		t.Errorf("root issuer = %s, want its subject %s", root.Issuer, root.Subject)
	}
	if intermediate.MaxPathLen != 0 {
		t.Errorf("intermediate: path length %d, want 0", intermediate.MaxPathLen)
	}
	if want := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}; !slices.Equal(intermediate.ExtKeyUsage, want) {
		t.Errorf("intermediate: extended key usage %v, want %v", intermediate.ExtKeyUsage, want)
	}
	if !bytes.Equal(intermediate.RawIssuer, root.RawSubject) || !bytes.Equal(intermediate.AuthorityKeyId, root.SubjectKeyId) {
		t.Error("intermediate does not name the root as its issuer")
	}
	if bytes.Equal(intermediate.RawSubject, root.RawSubject) {
		t.Error("root and intermediate have one subject")
	}
	if err := intermediate.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	if machine, err := os.Hostname(); err == nil && len(machine) <= 64 && !slices.Contains(root.Subject.OrganizationalUnit, machine) {
		t.Errorf("root subject = %s, want it to name the machine %q", root.Subject, machine)
	}
}

func TestRootsDiffer(t *testing.T) {
	now := time.Now()
	seen := make(map[string]bool)
	for range 20 {
		ca, err := newCA(NewConstraints(nil), now)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*x509.Certificate{ca.Root(), ca.Intermediate()} {
			for _, what := range []string{c.Subject.String(), c.SerialNumber.String(), string(c.SubjectKeyId)} {
				if seen[what] {
					t.Fatalf("%q was used before", what)
				}
				seen[what] = true
			}
		}
	}
}

func TestLeaf(t *testing.T) {
	ca := makeCA(t)
	now := time.Now().UTC().Truncate(time.Second)
	for _, h := range []host{
		{name: "shop.localhost"},
		{name: "localhost"},
		{name: "xn--bcher-kva.test"},
		{name: strings.Repeat("a.", 120) + "test"},
		{addr: netip.MustParseAddr("127.0.0.1")},
		{addr: netip.MustParseAddr("::1")},
	} {
		t.Run(h.String(), func(t *testing.T) {
			cert, err := ca.signLeaf(h, now)
			if err != nil {
				t.Fatal(err)
			}
			leaf := cert.Leaf
			checkCommon(t, leaf)
			if want := now.Add(-24 * time.Hour); !leaf.NotBefore.Equal(want) {
				t.Errorf("not before = %v, want %v", leaf.NotBefore, want)
			}
			if want := now.Add(60 * 24 * time.Hour); !leaf.NotAfter.Equal(want) {
				t.Errorf("not after = %v, want %v", leaf.NotAfter, want)
			}
			if !bytes.Equal(leaf.RawSubject, []byte{0x30, 0}) {
				t.Errorf("subject = %s, want none", leaf.Subject)
			}
			if has, isCritical := critical(leaf, extSAN); !has || !isCritical {
				t.Errorf("SAN: present %v, critical %v; want both", has, isCritical)
			}
			if n := len(leaf.DNSNames) + len(leaf.IPAddresses) + len(leaf.EmailAddresses) + len(leaf.URIs); n != 1 {
				t.Errorf("%d names, want 1", n)
			}
			if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature ||
				!slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
				t.Errorf("CA %v, key usage %b, extended %v; want a server's leaf", leaf.IsCA, leaf.KeyUsage, leaf.ExtKeyUsage)
			}
			if !bytes.Equal(leaf.AuthorityKeyId, ca.Intermediate().SubjectKeyId) {
				t.Error("authority key id is not the intermediate's")
			}
			if len(cert.Certificate) != 2 || !bytes.Equal(cert.Certificate[0], leaf.Raw) ||
				!bytes.Equal(cert.Certificate[1], ca.Intermediate().Raw) {
				t.Errorf("chain of %d certificates, want leaf and intermediate", len(cert.Certificate))
			}
			if err := verify(ca, leaf, h.String()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLeavesDiffer(t *testing.T) {
	ca := makeCA(t)
	var leaves [2]*x509.Certificate
	for i := range leaves {
		cert, err := ca.signLeaf(host{name: "a.test"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		leaves[i] = cert.Leaf
	}
	if leaves[0].SerialNumber.Cmp(leaves[1].SerialNumber) == 0 || bytes.Equal(leaves[0].SubjectKeyId, leaves[1].SubjectKeyId) {
		t.Error("two leaves share a serial number or a key")
	}
}

func verify(ca *CA, leaf *x509.Certificate, name string) error {
	intermediates := x509.NewCertPool()
	intermediates.AddCert(ca.Intermediate())
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: rootPool(ca), Intermediates: intermediates})
	return err
}

// stolen signs a leaf with what lies on disk, heeding no constraint.
func stolen(t *testing.T, ca *CA, names []string, ips ...net.IP) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := sign(&x509.Certificate{
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		IPAddresses: ips,
	}, ca.Intermediate(), &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestConstraintsAreEnforced(t *testing.T) {
	ca := makeCA(t, "shop.example.dev")
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"app.test", true},
		{"a.b.c.localhost", true},
		{"localhost", true},
		{"nas.home.arpa", true},
		{"api.shop.example.dev", true},
		{"example.dev", false},
		{"bank.example", false},
		{"notlocalhost", false},
		{"localhost.bank.example", false},
	} {
		if err := verify(ca, stolen(t, ca, []string{tt.name}), tt.name); (err == nil) != tt.ok {
			t.Errorf("verify %s: %v, want accepted %v", tt.name, err, tt.ok)
		}
	}
	for ip, ok := range map[string]bool{"127.0.0.1": true, "::1": true, "192.168.1.1": true, "fe80::1": true, "8.8.8.8": false, "2606:4700::1111": false} {
		if err := verify(ca, stolen(t, ca, nil, net.ParseIP(ip)), ip); (err == nil) != ok {
			t.Errorf("verify %s: %v, want accepted %v", ip, err, ok)
		}
	}
}

// TestOpenSSL has a verifier of different descent judge the shape, strictly.
func TestOpenSSL(t *testing.T) {
	openssl := requireTool(t, "openssl")
	ca := makeCA(t)
	dir := t.TempDir()
	file := func(name string, cert *x509.Certificate) string {
		path := filepath.Join(dir, name)
		data := pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: cert.Raw})
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, intermediate := file("root.pem", ca.Root()), file("intermediate.pem", ca.Intermediate())
	minted := func(h host) *x509.Certificate {
		cert, err := ca.signLeaf(h, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}
	for _, tt := range []struct {
		what, flag, name string
		leaf             *x509.Certificate
		refused          string // what openssl says; "" if it accepts
	}{
		{"minted name", "-verify_hostname", "app.test", minted(host{name: "app.test"}), ""},
		{"minted address", "-verify_ip", "127.0.0.1", minted(host{addr: netip.MustParseAddr("127.0.0.1")}), ""},
		{"other name", "-verify_hostname", "b.test", minted(host{name: "app.test"}), "hostname mismatch"},
		{"stolen key, name outside", "-verify_hostname", "foo.example.com", stolen(t, ca, []string{"foo.example.com"}), "permitted subtree violation"},
		{"stolen key, address outside", "-verify_ip", "8.8.8.8", stolen(t, ca, nil, net.ParseIP("8.8.8.8")), "permitted subtree violation"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-purpose", "sslserver",
				"-no-CApath", "-no-CAstore", "-CAfile", root, "-untrusted", intermediate,
				tt.flag, tt.name, file("leaf.pem", tt.leaf)).CombinedOutput()
			if (err == nil) != (tt.refused == "") || !strings.Contains(string(out), tt.refused) {
				t.Errorf("%v, refusal wanted: %q\n%s", err, tt.refused, out)
			}
		})
	}
}
