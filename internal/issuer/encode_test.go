package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// encodeBoth returns the leaf that encodeLeaf makes, and the one that x509 makes.
func encodeBoth(t *testing.T, ca *CA, h host, serial []byte, from, until time.Time) (ours, theirs *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.encodeLeaf(h, &key.PublicKey, serial, from, until)
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = x509.ParseCertificate(der); err != nil {
		t.Fatalf("%s: %v\n%x", h, err, der)
	}
	template := ca.leafTemplate(x509.ExtKeyUsageServerAuth, leafLife, from)
	template.SerialNumber, template.NotBefore, template.NotAfter = new(big.Int).SetBytes(serial), from, until
	h.addTo(template)
	if theirs, err = ca.signTemplate(template, &key.PublicKey); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func TestEncodeLeafAsX509(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 8, 7, 654321, time.FixedZone("east", 3*3600))
	hosts := []host{
		{name: "a.localhost"},
		{name: "shop.localhost"},
		{name: "*.shop.localhost"},
		{name: "xn--bcher-kva.test"},
		{addr: netip.MustParseAddr("127.0.0.1")},
		{addr: netip.MustParseAddr("::1")},
		{addr: netip.MustParseAddr("fe80::1")},
	}
	for n := 1; n <= 244; n++ { // lengths cross what one and two bytes can tell
		hosts = append(hosts, host{name: strings.Repeat("a", n) + ".test"})
	}
	ca := makeCA(t, "shop.example.dev")
	for _, h := range hosts {
		ours, theirs := encodeBoth(t, ca, h, newSerial(), now, now.AddDate(0, 2, 0))
		if !bytes.Equal(ours.RawTBSCertificate, theirs.RawTBSCertificate) {
			t.Errorf("%s: got\n%x, want\n%x", h, ours.RawTBSCertificate, theirs.RawTBSCertificate)
		}
		if err := ours.CheckSignatureFrom(ca.intermediate); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

// A CA that somebody else made may lack the identifier of its key.
func TestEncodeLeafWithoutKeyID(t *testing.T) {
	ca := makeCA(t)
	bare := *ca.intermediate
	bare.SubjectKeyId = nil
	nameless := &CA{root: ca.root, intermediate: &bare, key: ca.key, constraints: ca.constraints}
	ours, theirs := encodeBoth(t, nameless, host{name: "a.test"}, newSerial(), ca.root.NotBefore, ca.root.NotAfter)
	if !bytes.Equal(ours.RawTBSCertificate, theirs.RawTBSCertificate) {
		t.Errorf("got\n%x, want\n%x", ours.RawTBSCertificate, theirs.RawTBSCertificate)
	}
}

func TestEncodeLeafTimes(t *testing.T) {
	ca := makeCA(t)
	for _, year := range []int{1999, 2000, 2026, 2049, 2050, 2051, 2120} {
		from := time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC)
		ours, theirs := encodeBoth(t, ca, host{name: "a.test"}, newSerial(), from, from.Add(leafLife))
		if !bytes.Equal(ours.RawTBSCertificate, theirs.RawTBSCertificate) {
			t.Errorf("%d: got\n%x, want\n%x", year, ours.RawTBSCertificate, theirs.RawTBSCertificate)
		}
		if !ours.NotBefore.Equal(from) || !ours.NotAfter.Equal(from.Add(leafLife)) {
			t.Errorf("%d: got %v to %v", year, ours.NotBefore, ours.NotAfter)
		}
	}
}

func TestSerials(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		serial := newSerial()
		// Positive, of 20 octets, and without an octet too many.
		if n := new(big.Int).SetBytes(serial); len(serial) != 20 || n.BitLen() != 159 {
			t.Fatalf("got %x", serial)
		}
		if seen[string(serial)] {
			t.Fatalf("%x is there twice", serial)
		}
		seen[string(serial)] = true
	}
}
