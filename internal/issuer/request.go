package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
)

// NewRequest makes a key and a request (PKCS #10, DER) for a certificate of a
// server with names, as people write them. No constraints hold here: which CA
// will sign it is not known. The error is a *RuleError if names are at fault.
func NewRequest(names []string) (csr []byte, key *ecdsa.PrivateKey, notes []string, err error) {
	hosts, notes, err := parseHosts(names)
	if err != nil {
		return nil, nil, nil, err
	}
	if checkUnmixed(hosts) != nil {
		notes = append(notes, "devproxy's own CA signs for names or for addresses, not for both in one certificate")
	}
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a key: %v", err)
	}
	san := &x509.Certificate{}
	for _, h := range hosts {
		h.addTo(san)
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		// Other CAs want a common name: "openssl ca" does by default.
		Subject:            commonName(hosts[0]),
		SignatureAlgorithm: x509.ECDSAWithSHA256,
		DNSNames:           san.DNSNames,
		IPAddresses:        san.IPAddresses,
	}, key)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make the request: %v", err)
	}
	return csr, key, notes, nil
}

// commonName returns the subject of h, which is empty if h does not fit.
func commonName(h host) pkix.Name {
	if name := h.String(); len(name) <= maxCommonName {
		return pkix.Name{CommonName: name}
	}
	return pkix.Name{}
}
