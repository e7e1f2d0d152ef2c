package explain

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"time"
)

// A path is one way from the server's certificate towards a root.
type path struct {
	q        *inquiry
	certs    []*x509.Certificate
	anchored bool // its last certificate is trusted

	// Of a path that is not: a trusted root has the name of the last one's
	// issuer, but its key did not sign it, as far as could be found out.
	namesake bool
	strays   bool // others were sent, too, that are not part of it
	// The certificate in the issuer's place, whose key did not sign the last.
	forger *x509.Certificate
}

// always is all of the time certificates can express.
var always = [2]time.Time{time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}

// paths returns the ways that crypto/x509 goes or, with its error, those from
// the server's certificate by others that were sent to a root: those that lead
// to a trusted one, if there are any.
func (q *inquiry) paths(ctx context.Context) ([]path, error) {
	between := x509.NewCertPool()
	for _, c := range q.looked[1:] {
		between.AddCert(c)
	}
	verified, err := q.chain[0].Verify(x509.VerifyOptions{
		DNSName: q.host, Roots: q.roots, Intermediates: between, CurrentTime: q.now,
	})
	if err == nil {
		for _, certs := range verified[:min(len(verified), maxPaths)] {
			q.found = append(q.found, path{q: q, certs: certs, anchored: true})
		}
		q.morePaths = len(verified) > maxPaths
		return q.found, nil
	}
	q.follow(ctx, q.chain[:1:1])
	if slices.ContainsFunc(q.found, func(p path) bool { return p.anchored }) {
		return slices.DeleteFunc(q.found, func(p path) bool { return !p.anchored }), err
	}
	return q.found, err
}

// add keeps a way to a root, or one that leads to none.
func (q *inquiry) add(p path) {
	if len(q.found) == maxPaths {
		q.morePaths = true
		return
	}
	p.q = q
	q.found = append(q.found, p)
}

// follow looks for all ways on from the end of certs.
func (q *inquiry) follow(ctx context.Context, certs []*x509.Certificate) {
	at := certs[len(certs)-1]
	t := q.above(ctx, at)
	if t.itself {
		q.add(path{certs: certs, anchored: true})
		return
	}
	for _, root := range t.roots {
		q.add(path{certs: append(slices.Clip(certs), root), anchored: true})
	}
	end := path{certs: certs, strays: len(q.chain) > len(certs)}
	onward := false
	if !q.selfSigned(at) {
		for _, c := range q.looked {
			if !bytes.Equal(c.RawSubject, at.RawIssuer) || slices.ContainsFunc(certs, c.Equal) {
				continue
			}
			if q.morePaths || ctx.Err() != nil {
				return
			}
			switch q.signed(c, at) {
			case valid, unknowable:
				onward = true
				q.follow(ctx, append(slices.Clip(certs), c))
			case forged:
				if len(at.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(at.AuthorityKeyId, c.SubjectKeyId) {
					end.forger = c
				}
			}
		}
	}
	if len(t.roots) > 0 || onward {
		return
	}
	end.namesake = q.hasNamesake(at)
	q.add(end)
}

// trustedAbove is what is trusted of a certificate's issuers.
type trustedAbove struct {
	roots  []*x509.Certificate // that signed it
	itself bool                // it is a trusted root
}

// above returns the trusted roots that signed c, and whether c is one itself.
// A pool does not tell what is in it but by verifying: so it is asked about a
// copy of c of which nothing but its issuer and signature can be wrong, at
// times when a root that has expired may still have been valid.
func (q *inquiry) above(ctx context.Context, c *x509.Certificate) trustedAbove {
	if t, known := q.trusted[c]; known {
		return t
	}
	bare := bareCopy(c)
	times := []time.Time{q.now}
	if q.hasNamesake(c) {
		times = append(times, c.NotBefore, c.NotAfter)
		for away := time.Hour; away < 20*365*24*time.Hour; away *= 2 {
			times = append(times, q.now.Add(-away), q.now.Add(away))
		}
	}
	var t trustedAbove
	for i, at := range times {
		if ctx.Err() != nil {
			return t
		}
		// At the present the pool is asked in any case.
		if q.proofs == 0 && i > 0 {
			q.moreSignatures = true
			break
		}
		q.proofs = max(q.proofs-1, 0)
		chains, err := bare.Verify(x509.VerifyOptions{
			Roots: q.roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err != nil {
			continue
		}
		for _, chain := range chains {
			if len(chain) == 1 {
				t = trustedAbove{itself: true}
				break
			}
			if !slices.ContainsFunc(t.roots, chain[1].Equal) {
				t.roots = append(t.roots, chain[1])
			}
		}
		break
	}
	q.trusted[c] = t
	return t
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
func (q *inquiry) hasNamesake(c *x509.Certificate) bool {
	return slices.ContainsFunc(q.names, func(subject []byte) bool { return bytes.Equal(subject, c.RawIssuer) })
}
