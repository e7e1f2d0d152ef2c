package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
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
	if ca.Locked() {
		return nil, fmt.Errorf("sign a certificate for %s: %w", h, errLocked)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %v", h, err)
	}
	from, until := ca.leafTimes(leafLife, now)
	der, err := ca.encodeLeaf(h, &key.PublicKey, newSerial(), from, until)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %v", h, err)
	}
	// crypto/tls would parse it in each handshake.
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %v", h, err)
	}
	return &tls.Certificate{
		Certificate: [][]byte{cert.Raw, ca.intermediate.Raw},
		PrivateKey:  key,
		Leaf:        cert,
	}, nil
}

// leafTimes returns when a leaf begins, in the past, and ends: life from now, or
// with the CA.
func (ca *CA) leafTimes(life time.Duration, now time.Time) (from, until time.Time) {
	return latest(now.Add(-leafBackdate), ca.intermediate.NotBefore), earliest(now.Add(life), ca.intermediate.NotAfter)
}

// leafTemplate returns what all leaves for usage have in common.
//
// Those of servers stay without a subject, as those of handshakes do
// (encodeLeaf).
func (ca *CA) leafTemplate(usage x509.ExtKeyUsage, life time.Duration, now time.Time) *x509.Certificate {
	from, until := ca.leafTimes(life, now)
	return &x509.Certificate{
		NotBefore:   from,
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

// signTemplate makes a leaf for the owner of public.
func (ca *CA) signTemplate(template *x509.Certificate, public any) (*x509.Certificate, error) {
	id, err := publicKeyID(public)
	if err != nil {
		return nil, err
	}
	template.SubjectKeyId = id
	return sign(template, ca.intermediate, public, ca.key)
}

// publicKeyID is keyID for keys of every kind.
func publicKeyID(public any) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
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
