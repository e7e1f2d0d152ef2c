package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

const (
	// maxClientCert is how many bytes a client certificate may have. Backends
	// get it in a header; real ones have 1 to 2 KiB.
	maxClientCert = 8 << 10

	// maxSent is how many certificates of those that a client sends are looked
	// at.
	maxSent = 10

	// maxAskNames bounds the names of CAs that clients are told in a handshake,
	// in bytes. The message has room for 64 KiB, and crypto/tls fails without.
	maxAskNames = 16 << 10
)

// A ClientAuth says what a host asks of its clients. It is not changed any more
// once a route has it.
type ClientAuth struct {
	// Require has requests refused that come without an accepted certificate.
	// Otherwise their backend is not told of one.
	Require bool

	// Anchors returns what certificates have to lead to. Required; called
	// concurrently, at each handshake and request of the host. Another value
	// holds for the next request, and with RecheckClients for those that run.
	Anchors func() *Anchors

	// CA is how pages and the log call what the certificates have to lead to,
	// such as a file. "": Config.ClientHint says how to make one.
	CA string
}

// Anchors are the certificates that clients' certificates have to lead to. They
// do not change.
type Anchors struct {
	signers *x509.CertPool
	between []*x509.Certificate
	alone   map[[sha256.Size]byte]*x509.CertPool // of certificates that are no CA's, by their hash
	names   *x509.CertPool                       // what clients are told to choose by; nil: nothing
	id      [sha256.Size]byte
}

// NewAnchors returns the anchors roots. A root that is no CA is accepted itself,
// but nothing that it has signed. Intermediates, which are not trusted for
// themselves, help where clients send nothing but their own certificate.
func NewAnchors(roots, intermediates []*x509.Certificate) *Anchors {
	a := &Anchors{
		signers: x509.NewCertPool(),
		between: slices.Clone(intermediates),
		alone:   make(map[[sha256.Size]byte]*x509.CertPool),
		names:   x509.NewCertPool(),
	}
	var hashes [][]byte
	size := 0
	// Browsers offer certificates whose issuer they are told of. Those that have
	// theirs without the intermediate know its name only.
	tell := func(cert *x509.Certificate, as string) {
		a.names.AddCert(cert)
		size += len(cert.RawSubject) + 2
		hash := sha256.Sum256(cert.Raw)
		hashes = append(hashes, append(hash[:], as...))
	}
	for _, cert := range roots {
		tell(cert, "root")
		// Not of version 1 either, which x509 would take for a CA's.
		if cert.BasicConstraintsValid && cert.IsCA {
			a.signers.AddCert(cert)
			continue
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		a.alone[sha256.Sum256(cert.Raw)] = pool
	}
	for _, cert := range intermediates {
		tell(cert, "intermediate")
	}
	if size > maxAskNames {
		a.names = nil
	}
	slices.SortFunc(hashes, bytes.Compare)
	a.id = sha256.Sum256(bytes.Join(hashes, nil))
	return a
}

// anchors returns the anchors in force; never nil.
func (c *ClientAuth) anchors() *Anchors {
	if a := c.Anchors(); a != nil {
		return a
	}
	return NewAnchors(nil, nil)
}

// same reports whether both accept the same; nil, for no anchors at all, is the
// same as nil only.
func (a *Anchors) same(other *Anchors) bool {
	return a == other || a != nil && other != nil && a.id == other.id
}

// hash returns what two anchors that are the same have in common; zero for nil.
func (a *Anchors) hash() (hash [sha256.Size]byte) {
	if a != nil {
		hash = a.id
	}
	return hash
}

// Why a certificate is not accepted, as the log and pages say it.
const (
	noneSent     = "none was sent"
	hasExpired   = "it has expired"
	notYet       = "it is not valid yet"
	foreign      = "it was not issued by the CA that this host accepts"
	notForClient = "it is not for clients: its extended key usage lacks clientAuth"
	tooLarge     = "it has more than 8 KiB"
	otherwise    = "it is not valid"
)

// verify returns the chain from the first of the certificates that a client has
// sent to an anchor, or why there is none.
func (a *Anchors) verify(sent []*x509.Certificate, now time.Time) (chain []*x509.Certificate, reason string) {
	leaf := sent[0]
	if len(leaf.Raw) > maxClientCert {
		return nil, tooLarge
	}
	options := x509.VerifyOptions{
		Roots:         a.signers,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if alone := a.alone[sha256.Sum256(leaf.Raw)]; alone != nil {
		options.Roots = alone
	}
	for _, cert := range slices.Concat(a.between, sent[1:min(len(sent), maxSent)]) {
		options.Intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return nil, whyRefused(err, leaf, now)
	}
	return chains[0], ""
}

func whyRefused(err error, leaf *x509.Certificate, now time.Time) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return foreign
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case ok && invalid.Reason == x509.Expired && now.Before(leaf.NotBefore):
		return notYet
	case ok && invalid.Reason == x509.Expired:
		return hasExpired
	case ok && invalid.Reason == x509.IncompatibleUsage:
		return notForClient
	}
	return otherwise
}
