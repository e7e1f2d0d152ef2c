package issuer

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
)

// FuzzSignRequest signs requests of a good signature with any names, one to a
// line, as any kinds of name, and whatever the fuzzer makes of a whole request.
func FuzzSignRequest(f *testing.F) {
	ca := makeCA(f)
	key := makeKey(f, elliptic.P256())
	request := func(common, names string, kinds []byte) ([]byte, error) {
		var all []asn1.RawValue
		for i, name := range strings.Split(names, "\n") {
			tag := tagDNS
			if i < len(kinds) {
				tag = int(kinds[i] % 9)
			}
			all = append(all, altName(tag, name))
		}
		return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject:         pkix.Name{CommonName: common},
			ExtraExtensions: []pkix.Extension{altNames(all...)},
		}, key)
	}
	for _, seed := range []struct {
		common, names string
		kinds         []byte
	}{
		{"a.test", "", []byte{tagURI}},
		{"Alice Example", "alice@example.com", []byte{1}},
		{"alice.example.com", "*.shop.localhost\nA_b.test.\nxn--bcher-kva.test", nil},
		{"worker.test", "\x7f\x00\x00\x01", []byte{tagIP}},
		{"::1", "bank.example\n127.0.0.1\n*.test\n.localhost", nil},
		{"127.0.0.1", "a.test\nhttps://b.test/\n\x2a\x03", []byte{tagDNS, tagURI, tagRegistered}},
	} {
		whole, err := request(seed.common, seed.names, seed.kinds)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(whole, seed.common, seed.names, seed.kinds, false)
		f.Add(whole, seed.common, seed.names, seed.kinds, true)
	}
	f.Fuzz(func(t *testing.T, whole []byte, common, names string, kinds []byte, client bool) {
		usage := x509.ExtKeyUsageServerAuth
		if client {
			usage = x509.ExtKeyUsageClientAuth
		}
		requests := [][]byte{whole}
		if signed, err := request(common, names, kinds); err == nil {
			requests = append(requests, signed)
		}
		for _, csr := range requests {
			issued, err := ca.SignRequest(csr, client, day1, time.Now())
			if err == nil {
				checkSigned(t, ca, issued, usage)
			}
		}
	})
}
