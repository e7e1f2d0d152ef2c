package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A thief has what is in ca.pem.
type thief struct {
	root, intermediate *x509.Certificate
	key                *ecdsa.PrivateKey
}

func steal(t *testing.T, h *home) *thief {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.state(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	th := &thief{}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			certs = append(certs, cert)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			th.key = key.(*ecdsa.PrivateKey)
		}
	}
	if len(certs) != 2 || th.key == nil {
		t.Fatalf("ca.pem has %d certificates, key %t; want 2 and a key", len(certs), th.key != nil)
	}
	th.root, th.intermediate = certs[0], certs[1]
	return th
}

// An authority signs with a key, under the name of a certificate that need not
// belong to it.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (th *thief) authority() authority { return authority{th.intermediate, th.key} }

// sign makes a certificate with a key of its own. What template leaves out is
// as devproxy has it, so that nothing but the name gives it away.
func (a authority) sign(t *testing.T, template x509.Certificate) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-24*time.Hour), time.Now().AddDate(0, 0, 60)
	}
	if !template.IsCA {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		if template.ExtKeyUsage == nil {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
	}
	// Only the name and key identifier of the issuer: x509 would not sign for
	// one whose key we do not have.
	issuer := &x509.Certificate{RawSubject: a.cert.RawSubject, SubjectKeyId: a.cert.SubjectKeyId}
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// subordinate makes a CA that constrains nothing.
func (a authority) subordinate(t *testing.T, name pkix.Name) authority {
	t.Helper()
	return a.sign(t, x509.Certificate{
		Subject:               name,
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

// with returns what a server presents: the leaf and the rest of its chain.
func (a authority) with(chain ...*x509.Certificate) tls.Certificate {
	c := tls.Certificate{PrivateKey: a.key, Certificate: [][]byte{a.cert.Raw}}
	for _, cert := range chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// The hosts of the test. The outer ones are outside what devproxy's root may
// sign for, and the machine finds them all at itself.
const (
	innerHost, outerHost = "app.test", "foo.example.com"
	innerAddr, outerAddr = "127.0.0.1", "192.0.2.7"
)

func named(names ...string) x509.Certificate { return x509.Certificate{DNSNames: names} }

func addressed(addr string) x509.Certificate {
	return x509.Certificate{IPAddresses: []net.IP{net.ParseIP(addr)}}
}

// presented are the chains that a thief can make. Those for inner hosts are
// the control: all clients accept what is made in the same way.
var presented = []struct {
	name  string
	host  string // as clients call it
	inner bool
	chain func(t *testing.T, th *thief) tls.Certificate
}{
	{"inner name", innerHost, true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(innerHost)).with(th.intermediate)
	}},
	{"inner name below localhost", "app.localhost", true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named("app.localhost")).with(th.intermediate)
	}},
	{"inner name, root sent", innerHost, true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(innerHost)).with(th.intermediate, th.root)
	}},
	{"inner address", innerAddr, true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, addressed(innerAddr)).with(th.intermediate)
	}},

	{"outer name", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(outerHost)).with(th.intermediate)
	}},
	{"outer name, root sent", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(outerHost)).with(th.intermediate, th.root)
	}},
	{"outer name beside an inner one", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(innerHost, outerHost)).with(th.intermediate)
	}},
	{"wildcard", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named("*.example.com")).with(th.intermediate)
	}},
	{"common name only", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, x509.Certificate{Subject: pkix.Name{CommonName: outerHost}}).with(th.intermediate)
	}},
	{"outer address", outerAddr, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, addressed(outerAddr)).with(th.intermediate)
	}},
	{"subordinate CA", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		sub := th.authority().subordinate(t, pkix.Name{Organization: []string{"thief"}})
		return sub.sign(t, named(outerHost)).with(sub.cert, th.intermediate, th.root)
	}},
	// RFC 5280, section 4.2.1.9: the path length does not count a CA with the
	// name of its issuer.
	{"subordinate CA with the intermediate's name", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		sub := th.authority().subordinate(t, th.intermediate.Subject)
		return sub.sign(t, named(outerHost)).with(sub.cert, th.intermediate, th.root)
	}},
	{"subordinate CA, inner name", innerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		sub := th.authority().subordinate(t, pkix.Name{Organization: []string{"thief"}})
		return sub.sign(t, named(innerHost)).with(sub.cert, th.intermediate)
	}},
	{"in the name of the root", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return authority{th.root, th.key}.sign(t, named(outerHost)).with(th.root)
	}},
}
