package explain

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Bounds on the work, since a hostile server chooses what is looked at. Honest
// chains stay far below them.
const (
	maxLooked      = 10      // certificates that may lead from the server's to a root
	maxPaths       = 16      // ways to a root
	maxSignatures  = 40      // checked; one with a key of 8192 bits takes a millisecond and more
	maxProofs      = 100     // questions to the pool of roots
	maxComparisons = 250_000 // of names with constraints
)

// An inquiry is one look at a chain. It does nothing twice, and counts what it
// may still do.
type inquiry struct {
	chain  []*x509.Certificate // as sent
	looked []*x509.Certificate // of those, the ones that names lead to
	host   string              // canonical
	roots  *x509.CertPool
	names  [][]byte // of the roots, as RawSubject
	now    time.Time

	hostCause   func() (Cause, bool) // of the server's certificate
	verdicts    map[pair]verdict
	trusted     map[*x509.Certificate]trustedAbove
	constrained map[pair]outside
	lowered     map[*x509.Certificate]lowered

	signatures, proofs, comparisons int // left
	found                           []path

	// What was left out.
	moreCertificates, morePaths, moreSignatures, moreNames bool
}

// A pair is an issuer and what it issued, at one remove or several.
type pair struct{ issuer, issued *x509.Certificate }

func newInquiry(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) *inquiry {
	q := &inquiry{
		chain: chain, host: host, roots: roots, now: now,
		hostCause:   sync.OnceValues(func() (Cause, bool) { return hostCause(chain[0], host) }),
		verdicts:    map[pair]verdict{},
		trusted:     map[*x509.Certificate]trustedAbove{},
		constrained: map[pair]outside{},
		lowered:     map[*x509.Certificate]lowered{},
		signatures:  maxSignatures,
		proofs:      maxProofs,
		comparisons: maxComparisons,
	}
	//lint:ignore SA1019 that the platform's verifier is not asked costs a hint; nothing else tells names without a signature
	q.names = roots.Subjects()
	q.look()
	return q
}

// look follows the names of issuers, which costs nothing, from the server's
// certificate.
func (q *inquiry) look() {
	q.looked = []*x509.Certificate{q.chain[0]}
	for i := 0; i < len(q.looked); i++ {
		at := q.looked[i]
		for _, c := range q.chain[1:] {
			if !bytes.Equal(c.RawSubject, at.RawIssuer) || slices.ContainsFunc(q.looked, c.Equal) {
				continue
			}
			if len(q.looked) == maxLooked {
				q.moreCertificates = true
				return
			}
			q.looked = append(q.looked, c)
		}
	}
}

// leftOut says what was not looked at.
func (q *inquiry) leftOut() []string {
	var all []string
	add := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(q.moreCertificates, "not all was looked at: only %d of the %d certificates that are sent", maxLooked, len(q.chain))
	add(q.morePaths, "not all was looked at: only %d of the ways in which the certificates lead to a root", maxPaths)
	add(q.moreSignatures, "not all was looked at: only as many signatures as any honest chain has")
	add(q.moreNames, "not all was looked at: the names and constraints of the CAs are too many to compare them all")
	return all
}

// A verdict is what can be said of a signature.
type verdict int

const (
	valid      verdict = iota
	forged             // the key did not make it
	unknowable         // an algorithm too old or too new to check, or too many of them
)

// signed says whether issuer's key signed c. It looks at nothing else.
func (q *inquiry) signed(issuer, c *x509.Certificate) verdict {
	v, known := q.verdicts[pair{issuer, c}]
	switch {
	case known:
		return v
	case q.signatures == 0:
		q.moreSignatures = true
		return unknowable
	}
	q.signatures--
	v = signature(issuer, c)
	q.verdicts[pair{issuer, c}] = v
	return v
}

func signature(issuer, c *x509.Certificate) verdict {
	err := issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
	if err == nil {
		return valid
	}
	if _, weak := errors.AsType[x509.InsecureAlgorithmError](err); weak || errors.Is(err, x509.ErrUnsupportedAlgorithm) {
		return unknowable
	}
	return forged
}

// selfSigned reports whether c is its own issuer.
func (q *inquiry) selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && q.signed(c, c) != forged
}
