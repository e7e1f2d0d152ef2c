package explain

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// An entity is a certificate with its key.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// A change makes a certificate differ from a good one.
type change func(*x509.Certificate)

// good is the time at which the certificates of the tests are valid: the
// clients that are measured have no other.
var good = time.Now().Truncate(time.Second)

const day = 24 * time.Hour

// weakKey is made once: all that the tests need of it is its size.
var weakKey = sync.OnceValue(func() crypto.Signer { return mustKey(rsa.GenerateKey(rand.Reader, 1024)) })

// rsaKey signs with SHA-1 where ECDSA keys no longer do.
var rsaKey = sync.OnceValue(func() crypto.Signer { return mustKey(rsa.GenerateKey(rand.Reader, 2048)) })

func ecKey() crypto.Signer { return mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func edKey() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return mustKey(key, err)
}

func mustKey[K crypto.Signer](key K, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return key
}

// serial returns a number no other certificate has.
func serial() *big.Int {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err)
	}
	return n
}

// authority returns the template of a CA.
func authority(name string, changes []change) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Burrow"}, CommonName: name},
		NotBefore:             good.Add(-30 * day),
		NotAfter:              good.Add(1000 * day),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

// server returns the template of a server's certificate.
func server(changes []change) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Burrow"}},
		NotBefore:             good.Add(-2 * day),
		NotAfter:              good.Add(60 * day),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              []string{"shop.localhost"},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func sign(t testing.TB, template *x509.Certificate, key crypto.Signer, by entity) entity {
	t.Helper()
	if by.cert == nil {
		by = entity{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return entity{cert, key}
}

// newRoot makes a root. Each has a name of its own, like each test: the
// browsers are given all at once.
func newRoot(t testing.TB, changes ...change) entity {
	t.Helper()
	return newRootWith(t, ecKey(), changes...)
}

func newRootWith(t testing.TB, key crypto.Signer, changes ...change) entity {
	t.Helper()
	return sign(t, authority("root "+serial().Text(36), changes), key, entity{})
}

func (e entity) intermediate(t testing.TB, changes ...change) entity {
	t.Helper()
	return e.intermediateWith(t, ecKey(), changes...)
}

func (e entity) intermediateWith(t testing.TB, key crypto.Signer, changes ...change) entity {
	t.Helper()
	return sign(t, authority("intermediate "+serial().Text(36), changes), key, e)
}

func (e entity) leaf(t testing.TB, changes ...change) entity {
	t.Helper()
	return e.leafWith(t, ecKey(), changes...)
}

func (e entity) leafWith(t testing.TB, key crypto.Signer, changes ...change) entity {
	t.Helper()
	return sign(t, server(changes), key, e)
}

// tampered returns e with a signature that is not its issuer's.
func (e entity) tampered(t testing.TB) entity {
	t.Helper()
	der := append([]byte(nil), e.cert.Raw...)
	der[len(der)-1] ^= 1
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return entity{cert, e.key}
}

// A situation is what a client meets: what the server sends, whom it was asked
// for, and what is trusted.
type situation struct {
	host  string // shop.localhost if ""
	sent  []entity
	roots []entity
}

func (s situation) name() string {
	if s.host == "" {
		return "shop.localhost"
	}
	return s.host
}

func (s situation) chain() []*x509.Certificate {
	var chain []*x509.Certificate
	for _, e := range s.sent {
		chain = append(chain, e.cert)
	}
	return chain
}

func (s situation) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, e := range s.roots {
		pool.AddCert(e.cert)
	}
	return pool
}

// certificate returns what a server sends.
func (s situation) certificate() tls.Certificate {
	c := tls.Certificate{PrivateKey: s.sent[0].key}
	for _, e := range s.sent {
		c.Certificate = append(c.Certificate, e.cert.Raw)
	}
	return c
}

func named(names ...string) change { return func(c *x509.Certificate) { c.DNSNames = names } }

func addressed(addresses ...string) change {
	return func(c *x509.Certificate) {
		c.DNSNames = nil
		for _, a := range addresses {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
		}
	}
}

func called(cn string, names ...string) change {
	return func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = cn, names }
}

func lasting(from, to time.Duration) change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = good.Add(from), good.Add(to) }
}

func onlyFor(domains ...string) change {
	return func(c *x509.Certificate) { c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = domains, true }
}

func usage(usages ...x509.ExtKeyUsage) change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

func pathLen(n int) change {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

func sha1Signed(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }

func withIssuerURL(c *x509.Certificate) {
	c.IssuingCertificateURL = []string{"http://127.0.0.1:1/intermediate.cer"}
}

func criticalExtension(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 1}, Critical: true, Value: []byte{5, 0}}}
}

// emptySubject leaves the subject empty without making the SAN critical, as
// RFC 5280 section 4.2.1.6 demands.
func emptySubject(c *x509.Certificate) {
	san := append([]byte{0x30, 16, 0x82, 14}, "shop.localhost"...)
	c.Subject, c.DNSNames = pkix.Name{}, nil
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
}
