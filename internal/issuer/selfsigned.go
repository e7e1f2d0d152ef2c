package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"
)

// SelfSigned makes a key and a certificate for a server that is its own issuer
// and no CA, so that whoever trusts it trusts these names and nothing else. It
// takes any names. The error is a *RuleError if the arguments are at fault.
func SelfSigned(names []string, life time.Duration, now time.Time) (*Issued, error) {
	if err := checkLife(life); err != nil {
		return nil, err
	}
	hosts, notes, err := parseHosts(names)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %v", err)
	}
	template := &x509.Certificate{
		// An issuer must have a name (RFC 5280, section 4.1.2.4).
		Subject:               commonName(hosts[0]),
		NotBefore:             now.Add(-leafBackdate),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID(&key.PublicKey),
	}
	template.Subject.Organization = []string{"devproxy self-signed"}
	template.AuthorityKeyId = template.SubjectKeyId
	for _, h := range hosts {
		h.addTo(template)
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %v", err)
	}
	return &Issued{Certificate: cert, Key: key, Notes: notes}, nil
}
