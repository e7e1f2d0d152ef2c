package explain

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// A path is one way from the server's certificate towards a root.
type path struct {
	certs    []*x509.Certificate
	anchored bool // its last certificate is trusted

	// Of a path that is not: a trusted root has the name of the last one's
	// issuer, but its key did not sign it, as far as could be found out.
	namesake bool
	strays   bool // others were sent, too, that are not part of it
	// The certificate in the issuer's place, whose key did not sign the last.
	forger *x509.Certificate
}

// Bounds on the search, since a hostile server chooses what is searched. Go's
// own verifier stops after a hundred signatures, too.
const (
	maxSignatures = 100
	maxDepth      = 12
)

// always is all of the time certificates can express.
var always = [2]time.Time{time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}

// findPaths returns the ways from chain's first certificate by those that were
// sent to a root; those that lead to a trusted one, if there are any.
func findPaths(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) []path {
	s := &search{chain: chain, roots: roots, now: now}
	s.follow(chain[:1:1])
	if slices.ContainsFunc(s.found, func(p path) bool { return p.anchored }) {
		return slices.DeleteFunc(s.found, func(p path) bool { return !p.anchored })
	}
	return s.found
}

type search struct {
	chain      []*x509.Certificate
	roots      *x509.CertPool
	now        time.Time
	signatures int // checked so far
	found      []path
}

// follow looks for all ways on from the end of certs.
func (s *search) follow(certs []*x509.Certificate) {
	at := certs[len(certs)-1]
	above, trusted := s.trustedAbove(at)
	if trusted {
		s.found = append(s.found, path{certs: certs, anchored: true})
		return
	}
	for _, root := range above {
		s.found = append(s.found, path{certs: append(slices.Clip(certs), root), anchored: true})
	}
	end := path{certs: certs, strays: len(s.chain) > len(certs)}
	onward := false
	if !selfSigned(at) && len(certs) < maxDepth {
		for _, c := range s.chain {
			if !bytes.Equal(c.RawSubject, at.RawIssuer) || slices.ContainsFunc(certs, c.Equal) || s.signatures >= maxSignatures {
				continue
			}
			s.signatures++
			switch signed(c, at) {
			case valid, unknowable:
				onward = true
				s.follow(append(slices.Clip(certs), c))
			case forged:
				if len(at.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(at.AuthorityKeyId, c.SubjectKeyId) {
					end.forger = c
				}
			}
		}
	}
	if len(above) > 0 || onward {
		return
	}
	end.namesake = s.hasNamesake(at)
	s.found = append(s.found, end)
}

// trustedAbove returns the trusted roots that signed c, and whether c is one
// itself. A pool does not tell what is in it but by verifying: so it is asked
// about a copy of c of which nothing but its issuer and signature can be wrong,
// at times when a root that has expired may still have been valid.
func (s *search) trustedAbove(c *x509.Certificate) (above []*x509.Certificate, trusted bool) {
	bare := bareCopy(c)
	times := []time.Time{s.now}
	if s.hasNamesake(c) {
		times = append(times, c.NotBefore, c.NotAfter)
		for away := time.Hour; away < 20*365*24*time.Hour; away *= 2 {
			times = append(times, s.now.Add(-away), s.now.Add(away))
		}
	}
	for _, at := range times {
		chains, err := bare.Verify(x509.VerifyOptions{
			Roots: s.roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err != nil {
			continue
		}
		for _, chain := range chains {
			if len(chain) == 1 {
				return nil, true
			}
			if !slices.ContainsFunc(above, chain[1].Equal) {
				above = append(above, chain[1])
			}
		}
		break
	}
	return above, false
}

// bareCopy returns c without anything that verification could hold against it.
func bareCopy(c *x509.Certificate) *x509.Certificate {
	return &x509.Certificate{
		Raw: c.Raw, RawTBSCertificate: c.RawTBSCertificate,
		RawSubject: c.RawSubject, RawIssuer: c.RawIssuer, RawSubjectPublicKeyInfo: c.RawSubjectPublicKeyInfo,
		Signature: c.Signature, SignatureAlgorithm: c.SignatureAlgorithm,
		PublicKeyAlgorithm: c.PublicKeyAlgorithm, PublicKey: c.PublicKey,
		Version: c.Version, SerialNumber: c.SerialNumber, Subject: c.Subject, Issuer: c.Issuer,
		AuthorityKeyId: c.AuthorityKeyId, SubjectKeyId: c.SubjectKeyId,
		NotBefore: always[0], NotAfter: always[1],
	}
}

// hasNamesake reports whether a trusted root has the name of c's issuer.
func (s *search) hasNamesake(c *x509.Certificate) bool {
	//lint:ignore SA1019 that the platform's verifier is not asked costs a hint; nothing else tells names without a signature
	subjects := s.roots.Subjects()
	return slices.ContainsFunc(subjects, func(subject []byte) bool { return bytes.Equal(subject, c.RawIssuer) })
}

// A verdict is what can be said of a signature.
type verdict int

const (
	valid      verdict = iota
	forged             // the key did not make it
	unknowable         // an algorithm too old or too new to check
)

// signed says whether issuer's key signed c. It looks at nothing else.
func signed(issuer, c *x509.Certificate) verdict {
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
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && signed(c, c) != forged
}
