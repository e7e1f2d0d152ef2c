package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

const (
	// leafLife is well below every limit that a platform puts on the life of
	// leaves (pains.md [20]).
	leafLife = 60 * 24 * time.Hour
	// leafBackdate is for clients, phones or virtual machines, whose clock is
	// behind (pains.md [40]).
	leafBackdate = 24 * time.Hour
)

// signLeaf makes a key and a leaf for h and returns them with the chain that
// the server sends: leaf and intermediate. The root is never sent: clients
// have it, and Firefox may trust one that was removed from its store as long as
// servers send it (clients.md §6).
func (ca *CA) signLeaf(h host, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %v", h, err)
	}
	// Without a subject x509 marks the SAN critical, as RFC 5280, section
	// 4.2.1.6, demands. There is no common name because some clients would
	// hold it against the constraints as well (clients.md §2).
	template := &x509.Certificate{
		NotBefore:    latest(now.Add(-leafBackdate), ca.intermediate.NotBefore),
		NotAfter:     earliest(now.Add(leafLife), ca.intermediate.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SubjectKeyId: keyID(&key.PublicKey),
	}
	if h.addr.IsValid() {
		template.IPAddresses = []net.IP{h.addr.AsSlice()}
	} else {
		template.DNSNames = []string{h.name}
	}
	cert, err := sign(template, ca.intermediate, &key.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %v", h, err)
	}
	return &tls.Certificate{
		Certificate: [][]byte{cert.Raw, ca.intermediate.Raw},
		PrivateKey:  key,
		Leaf:        cert,
	}, nil
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
