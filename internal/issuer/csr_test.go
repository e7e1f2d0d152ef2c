package issuer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func makeRequest(t testing.TB, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func makeKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// otherKey claims the public half of somebody else.
type otherKey struct {
	crypto.Signer
	public crypto.PublicKey
}

func (k otherKey) Public() crypto.PublicKey { return k.public }

func extension(id asn1.ObjectIdentifier, value any) pkix.Extension {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: id, Value: der}
}

// altNames encodes names as they are, in the SAN, by their tag.
func altNames(names ...asn1.RawValue) pkix.Extension {
	return extension(asn1.ObjectIdentifier{2, 5, 29, 17}, names)
}

func altName(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
}

const tagDNS, tagURI, tagIP, tagRegistered = 2, 6, 7, 8

func TestSignRequestServer(t *testing.T) {
	ca := makeCA(t)
	key := makeKey(t, elliptic.P256())
	for _, tt := range []struct {
		what  string
		req   x509.CertificateRequest
		names []string
		note  string
	}{
		{"names", x509.CertificateRequest{DNSNames: []string{"A.test.", "*.a.test"}}, []string{"a.test", "*.a.test"}, ""},
		{"addresses", x509.CertificateRequest{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}, []string{"127.0.0.1", "::1"}, ""},
		{"IPv4-mapped", x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altNames(altName(tagIP, string(net.IPv4(127, 0, 0, 1).To16())))}}, []string{"127.0.0.1"}, ""},
		{"same common name", x509.CertificateRequest{Subject: pkix.Name{CommonName: "A.test"}, DNSNames: []string{"a.test"}}, []string{"a.test"}, ""},
		{"other common name", x509.CertificateRequest{Subject: pkix.Name{CommonName: "My shop"}, DNSNames: []string{"a.test"}}, []string{"a.test"}, `left out of what the request asks for: common name "My shop"`},
		{"only a common name", x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.test"}}, []string{"a.test"}, "the request has no subject alternative name"},
		{"e-mail and URI", x509.CertificateRequest{DNSNames: []string{"a.test"}, EmailAddresses: []string{"a@b.test"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "b.test"}}}, []string{"a.test"}, "left out of what the request asks for: e-mail addresses (1), URIs (1)"},
		{"name of another kind", x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altNames(altName(tagDNS, "a.test"), altName(tagRegistered, "\x2a\x03"))}}, []string{"a.test"}, "names of other kinds (1)"},
		{"extensions", x509.CertificateRequest{DNSNames: []string{"a.test"}, ExtraExtensions: []pkix.Extension{
			extension(asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.BitString{Bytes: []byte{6}, BitLength: 7}),
			extension(asn1.ObjectIdentifier{2, 5, 29, 37}, []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}}),
			extension(asn1.ObjectIdentifier{2, 5, 29, 19}, struct{ CA bool }{true}),
			{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte("?")},
		}}, []string{"a.test"}, "left out of what the request asks for: keyUsage, extendedKeyUsage, to be a CA (basicConstraints), extension 1.2.3.4"},
		{"no CA", x509.CertificateRequest{DNSNames: []string{"a.test"}, ExtraExtensions: []pkix.Extension{extension(asn1.ObjectIdentifier{2, 5, 29, 19}, struct{}{})}}, []string{"a.test"}, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			issued, err := ca.SignRequest(makeRequest(t, &tt.req, key), false, day1, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			checkSigned(t, ca, issued, x509.ExtKeyUsageServerAuth)
			if got := namesOf(issued.Certificate); !slices.Equal(got, tt.names) {
				t.Errorf("names = %q, want %q", got, tt.names)
			}
			if notes := strings.Join(issued.Notes, "\n"); !strings.Contains(notes, tt.note) || (notes == "") != (tt.note == "") {
				t.Errorf("notes = %q, want %q", notes, tt.note)
			}
		})
	}
}

// checkSigned looks at what must hold for whatever is signed.
func checkSigned(t testing.TB, ca *CA, issued *Issued, usage x509.ExtKeyUsage) {
	t.Helper()
	cert := issued.Certificate
	if cert.IsCA || cert.KeyUsage&^(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment) != 0 ||
		!slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{usage}) || len(cert.UnknownExtKeyUsage) > 0 {
		t.Errorf("CA %v, key usage %b, extended %v %v", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
	}
	for _, ext := range cert.Extensions {
		// Key usage, SAN, both key identifiers, extended key usage.
		if id := ext.Id.String(); !slices.Contains([]string{"2.5.29.15", "2.5.29.17", "2.5.29.14", "2.5.29.35", "2.5.29.37"}, id) {
			t.Errorf("extension %s was taken over", id)
		}
	}
	if issued.Key != nil {
		t.Error("a signed request comes with a key")
	}
	if len(cert.URIs) > 0 {
		t.Errorf("URIs %v", cert.URIs)
	}
	if err := verifyFor(ca, cert, "", usage); err != nil {
		t.Error(err)
	}
	if usage == x509.ExtKeyUsageServerAuth {
		if !bytes.Equal(cert.RawSubject, []byte{0x30, 0}) {
			t.Errorf("subject = %s, want none", cert.Subject)
		}
		if len(cert.DNSNames)+len(cert.IPAddresses) == 0 || len(cert.DNSNames) > 0 && len(cert.IPAddresses) > 0 {
			t.Errorf("names %q, addresses %v; want one kind", cert.DNSNames, cert.IPAddresses)
		}
	}
	for _, name := range namesOf(cert) {
		if strings.Contains(name, "@") && usage == x509.ExtKeyUsageClientAuth {
			continue
		}
		if err := ca.Constraints().Permits(name); err != nil {
			t.Error(err)
		}
		if below, ok := strings.CutPrefix(name, "*."); ok {
			if !strings.Contains(below, ".") {
				t.Errorf("wildcard %q", name)
			}
			name = "x." + below
		}
		if err := verifyFor(ca, cert, name, usage); err != nil {
			t.Error(err)
		}
	}
}

func TestSignRequestClient(t *testing.T) {
	ca := makeCA(t)
	key := makeKey(t, elliptic.P256())
	for _, tt := range []struct {
		what   string
		req    x509.CertificateRequest
		common string
		san    []string
		note   string
	}{
		{"common name", x509.CertificateRequest{Subject: pkix.Name{CommonName: "Alice Example"}}, "Alice Example", nil, ""},
		{"e-mail", x509.CertificateRequest{EmailAddresses: []string{"alice@example.com"}}, "alice@example.com", []string{"alice@example.com"}, ""},
		{"both", x509.CertificateRequest{Subject: pkix.Name{CommonName: "alice@example.com"}, EmailAddresses: []string{"alice@example.com"}}, "alice@example.com", []string{"alice@example.com"}, ""},
		{"host name", x509.CertificateRequest{Subject: pkix.Name{CommonName: "worker.test"}, DNSNames: []string{"worker.test"}}, "worker.test", []string{"worker.test"}, ""},
		{"more", x509.CertificateRequest{Subject: pkix.Name{CommonName: "Alice Example", Organization: []string{"Example"}}, DNSNames: []string{"bank.example"}, EmailAddresses: []string{"a@b.test"}}, "Alice Example", nil,
			"left out of what the request asks for: DNS names (1), e-mail addresses (1), subject O"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			issued, err := ca.SignRequest(makeRequest(t, &tt.req, key), true, day1, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			checkSigned(t, ca, issued, x509.ExtKeyUsageClientAuth)
			if got := issued.Certificate.Subject; got.CommonName != tt.common || len(got.Names) != 1 {
				t.Errorf("subject = %s, want %q", got, tt.common)
			}
			if got := namesOf(issued.Certificate); !slices.Equal(got, tt.san) {
				t.Errorf("names = %q, want %q", got, tt.san)
			}
			if notes := strings.Join(issued.Notes, "\n"); notes != tt.note {
				t.Errorf("notes = %q, want %q", notes, tt.note)
			}
		})
	}
}

func TestSignRequestKeys(t *testing.T) {
	ca := makeCA(t)
	rsaKey := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	some := rsaKey(2048)
	claim := func(n *big.Int, e int) crypto.Signer {
		return otherKey{some, &rsa.PublicKey{N: n, E: e}}
	}
	pow := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits) }
	odd := func(n *big.Int) *big.Int { return n.SetBit(n, 0, 1) }
	template := x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"}}
	for _, tt := range []struct {
		what           string
		key            crypto.Signer
		server, client string // what is wrong; "" if it is signed
	}{
		{"RSA 2048", some, "", ""},
		{"RSA 1024", rsaKey(1024), "too few", "too few"},
		{"RSA even", claim(pow(2047), 65537), "its modulus is even", "its modulus is even"},
		{"RSA absurd", claim(odd(pow(2047)), 65537), "signature", "signature"},
		{"RSA huge", claim(odd(pow(300_000)), 65537), "too many", "too many"},
		{"RSA exponent 1", claim(odd(pow(2047)), 1), "exponent 1", "exponent 1"},
		{"RSA exponent even", claim(odd(pow(2047)), 65536), "exponent 65536", "exponent 65536"},
		{"RSA exponent huge", claim(odd(pow(2047)), 1<<62+1), "exponent", "exponent"},
		{"P-256", makeKey(t, elliptic.P256()), "", ""},
		{"P-384", makeKey(t, elliptic.P384()), "", ""},
		{"P-521", makeKey(t, elliptic.P521()), "", ""},
		{"P-224", makeKey(t, elliptic.P224()), "P-224", "P-224"},
		{"Ed25519", edKey, "Ed25519", ""},
		{"somebody else's", otherKey{makeKey(t, elliptic.P256()), &makeKey(t, elliptic.P256()).PublicKey}, "signature", "signature"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			csr := craftRequest(t, &template, tt.key)
			for client, problem := range map[bool]string{false: tt.server, true: tt.client} {
				issued, err := ca.SignRequest(csr, client, day1, time.Now())
				if problem != "" {
					checkRule(t, err, problem, false, "")
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				usage := x509.ExtKeyUsageServerAuth
				if client {
					usage = x509.ExtKeyUsageClientAuth
				}
				checkSigned(t, ca, issued, usage)
				_, isRSA := tt.key.(*rsa.PrivateKey)
				if got := issued.Certificate.KeyUsage&x509.KeyUsageKeyEncipherment != 0; got != (isRSA && !client) {
					t.Errorf("client %v: key encipherment %v", client, got)
				}
			}
		})
	}
}

// craftRequest is makeRequest for keys that crypto/x509 checks before it
// returns: it signs nothing then.
func craftRequest(t *testing.T, template *x509.CertificateRequest, key crypto.Signer) []byte {
	t.Helper()
	other, ok := key.(otherKey)
	if !ok {
		return makeRequest(t, template, key)
	}
	honest := makeRequest(t, template, other.Signer)
	from, err := x509.MarshalPKIXPublicKey(other.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	to, err := x509.MarshalPKIXPublicKey(other.public)
	if err != nil {
		t.Fatal(err)
	}
	type csr struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Attributes asn1.RawValue
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	var c csr
	if _, err := asn1.Unmarshal(honest, &c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.Info.Key.FullBytes, from) {
		t.Fatal("the key is not where it should be")
	}
	c.Info.Key = asn1.RawValue{FullBytes: to}
	der, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSignRequestRefuses(t *testing.T) {
	ca := makeCA(t)
	key := makeKey(t, elliptic.P256())
	raw := func(names ...asn1.RawValue) []byte {
		return makeRequest(t, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{altNames(names...)}}, key)
	}
	dns := func(name string) []byte { return raw(altName(tagDNS, name)) }
	subject := func(name pkix.Name) []byte { return makeRequest(t, &x509.CertificateRequest{Subject: name}, key) }
	many := make([]asn1.RawValue, 4000)
	for i := range many {
		many[i] = altName(tagDNS, fmt.Sprintf("a%d.test", i))
	}
	good := dns("a.test")
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	asked := encode("CERTIFICATE REQUEST", good)
	for _, tt := range []struct {
		what    string
		csr     []byte
		client  bool
		problem string
		outside bool
		domain  string
	}{
		{"nothing", nil, false, "is empty", false, ""},
		{"spaces", []byte(" \n"), false, "is empty", false, ""},
		{"garbage", []byte("hello"), false, "neither PEM nor DER", false, ""},
		{"DER garbage", []byte{0x30, 0x80, 1}, false, "cannot be read", false, ""},
		{"too large", append(bytes.Repeat([]byte("\n"), maxRequest), asked...), false, "larger than 64 KiB", false, ""},
		{"two", append(bytes.Clone(asked), asked...), false, "several requests", false, ""},
		{"private key, PEM", encode(typeKey, keyDER), false, "private key", false, ""},
		{"private key, DER", keyDER, false, "private key", false, ""},
		{"encrypted key", encode("ENCRYPTED PRIVATE KEY", keyDER), false, "private key", false, ""},
		{"certificate, PEM", ca.rootPEM(), false, "that is a certificate", false, ""},
		{"certificate, DER", ca.root.Raw, false, "that is a certificate", false, ""},
		{"public key", encode("PUBLIC KEY", []byte("?")), false, `PEM block "PUBLIC KEY"`, false, ""},
		{"something after it", append(bytes.Clone(good), 0), false, "cannot be read", false, ""},
		{"damaged", damaged, false, "signature of the request", false, ""},
		{"no names", subject(pkix.Name{}), false, "names no host", false, ""},
		{"no client", good, true, "names no client", false, ""},
		{"common name of a person", subject(pkix.Name{CommonName: "Alice Example"}), false, "names no host", false, ""},
		{"common name outside", subject(pkix.Name{CommonName: "bank.example"}), false, "outside the constraints", true, "bank.example"},
		{"client outside", subject(pkix.Name{CommonName: "bank.example"}), true, "outside the constraints", true, "bank.example"},
		{"two common names", subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a.test"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "bank.example"},
		}}), false, "several common names", false, ""},
		{"control characters in the common name", subject(pkix.Name{CommonName: "al\x1b[2Jice"}), true, "cannot be seen", false, ""},
		{"outside", dns("bank.example"), false, "outside the constraints", true, "bank.example"},
		{"NUL", dns("a.test\x00.bank.example"), false, "not allowed", false, ""},
		{"NUL at the end", dns("bank.example\x00.test"), false, "not allowed", false, ""},
		{"newline", dns("a.test\nb.test"), false, "not allowed", false, ""},
		{"escape", dns("\x1b[2J.test"), false, "not allowed", false, ""},
		{"leading dot", dns(".localhost"), false, "empty label", false, ""},
		{"empty name", dns(""), false, "empty host name", false, ""},
		{"space", dns(" "), false, "not allowed", false, ""},
		{"wildcard", dns("*.LOCALHOST."), false, "match no name", false, ""},
		{"wildcard within", dns("a*.shop.test"), false, "whole leftmost label", false, ""},
		{"address as a name", dns("127.0.0.1"), false, "as a DNS name", false, ""},
		{"address in brackets", dns("[::1]"), false, "as a DNS name", false, ""},
		{"both kinds", raw(altName(tagDNS, "a.test"), altName(tagIP, "\x7f\x00\x00\x01")), false, "do not go together", false, ""},
		{"address outside", raw(altName(tagIP, "\x08\x08\x08\x08")), false, "outside the constraints", true, ""},
		{"mapped address outside", raw(altName(tagIP, string(net.IPv4(8, 8, 8, 8).To16()))), false, "outside the constraints", true, ""},
		{"address with a mask", raw(altName(tagIP, "\x7f\x00\x00\x01\xff\x00\x00\x00")), false, "cannot be read", false, ""},
		{"only a URI", raw(altName(tagURI, "https://a.test/")), false, "names no host", false, ""},
		{"many", raw(many...), false, "too much for one certificate", false, ""},
		{"long", dns(strings.Repeat("a.", 20_000) + "test"), false, "longer than 253", false, ""},
		{"twice a SAN", makeRequest(t, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
			altNames(altName(tagDNS, "a.test")), altNames(altName(tagDNS, "bank.example")),
		}}, key), false, "cannot be read", false, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			_, err := ca.SignRequest(tt.csr, tt.client, day1, time.Now())
			checkRule(t, err, tt.problem, tt.outside, tt.domain)
		})
	}
	for _, csr := range [][]byte{good, asked, append([]byte("\ufeffsome text\n"), asked...), encode("NEW CERTIFICATE REQUEST", good), append(encode(typeKey, keyDER), asked...)} {
		if _, err := ca.SignRequest(csr, false, day1, time.Now()); err != nil {
			t.Errorf("SignRequest(%.60q): %v", csr, err)
		}
	}
}
