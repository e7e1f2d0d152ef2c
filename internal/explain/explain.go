// Package explain says in words why clients refuse a server's certificate,
// with the names that OpenSSL, Python, Chromium and Firefox give each reason.
//
// [Fetch] gets what a server presents without judging it; [Explain] judges.
// crypto/x509 stops at the first thing it finds wrong; Explain looks at each by
// itself, reports all that hold, and also what Go accepts and other clients
// do not.
package explain

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Cause is one reason why clients refuse a chain.
type Cause struct {
	Kind    Kind
	Problem string // one sentence with the facts, lower case, no full stop
	Fix     string // what the one who runs the server, or the client, can do
	Index   int    // of the certificate in the chain, 0 the server's own; the chain's length for a root that was not sent

	// What the client calls it; "" if it accepts, or does not look.
	OpenSSL  string
	Python   string
	Chromium string
	Firefox  string
}

// Explain returns all reasons why a client refuses chain, the server's
// certificate first, when it asked for host, a name or an IP address, at the
// time now, and trusts roots; nil trusts nothing. The most telling comes first.
//
// There are none if crypto/x509 verifies the chain and no client measured is
// stricter. A cause of a client that is can be known by its empty names for
// the others.
func Explain(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) []Cause {
	if len(chain) == 0 {
		return []Cause{{
			Kind:    NoCertificate,
			Problem: "the server sent no certificate",
			Fix:     "configure a certificate and its key on the server",
		}}
	}
	if roots == nil {
		roots = x509.NewCertPool()
	}
	host = canonical(host)
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	verified, err := chain[0].Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, Intermediates: between, CurrentTime: now,
	})
	var paths []path
	if err == nil {
		for _, certs := range verified {
			paths = append(paths, path{certs: certs, anchored: true})
		}
	} else {
		paths = findPaths(chain, roots, now)
	}

	var best path
	var causes []Cause
	for i, p := range paths {
		found := p.causes(host, now)
		if err == nil {
			found = slices.DeleteFunc(found, func(c Cause) bool { return !c.lenient() })
		}
		if i == 0 || better(p, found, best, causes) {
			best, causes = p, found
		}
	}
	for i := range causes {
		causes[i].Index = indexIn(chain, best.certs[causes[i].Index])
	}
	if err != nil && !slices.ContainsFunc(causes, func(c Cause) bool { return !c.lenient() }) {
		causes = append(causes, Cause{
			Kind:    Other,
			Problem: "the chain does not verify: " + strings.TrimPrefix(err.Error(), "x509: "),
			Fix:     "have the certificate issued anew",
		})
	}
	slices.SortStableFunc(causes, func(a, b Cause) int { return cmp.Compare(a.Kind.rank(), b.Kind.rank()) })
	return causes
}

// indexIn returns where c is in chain, its length if it is not.
func indexIn(chain []*x509.Certificate, c *x509.Certificate) int {
	if i := slices.IndexFunc(chain, c.Equal); i >= 0 {
		return i
	}
	return len(chain)
}

// better reports whether a client would rather follow p than q: to a root it
// trusts, with fewer faults.
func better(p path, ofP []Cause, q path, ofQ []Cause) bool {
	if p.anchored != q.anchored {
		return p.anchored
	}
	return len(ofP) < len(ofQ)
}

// lenient reports whether crypto/x509 accepts what c complains of.
func (c Cause) lenient() bool {
	switch c.Kind {
	case WeakKey, Ed25519Key, CAAsServer, WrongKeyUsage, EmptySubject, WideWildcard:
		return true
	}
	return false
}

// Notes returns what clients put up with but the server should not send: a
// wrong order, certificates that lead nowhere, the root. One sentence each.
func Notes(chain []*x509.Certificate) []string {
	if len(chain) == 0 {
		return nil
	}
	used := walk(chain)
	var notes []string
	last := 0
	for _, c := range used {
		if i := indexIn(chain, c); i >= last {
			last = i
			continue
		}
		notes = append(notes, "the certificates are out of order: each should be followed by its issuer's")
		break
	}
	for i, c := range chain {
		switch {
		case slices.ContainsFunc(chain[:i], c.Equal):
			notes = append(notes, "the certificate of "+name(c)+" is sent twice")
		case !slices.ContainsFunc(used, c.Equal):
			notes = append(notes, "the certificate of "+name(c)+" is sent, but did not issue any of the others")
		case i > 0 && selfSigned(c):
			notes = append(notes, "the root "+name(c)+" is sent, but clients must have it already")
		}
	}
	return notes
}

// walk follows the chain from the server's certificate by what was sent.
func walk(chain []*x509.Certificate) []*x509.Certificate {
	at := chain[0]
	used := []*x509.Certificate{at}
	for !selfSigned(at) {
		i := slices.IndexFunc(chain, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(used, c.Equal) && bytes.Equal(c.RawSubject, at.RawIssuer) && signed(c, at) != forged
		})
		if i < 0 {
			break
		}
		at = chain[i]
		used = append(used, at)
	}
	return used
}

// canonical returns host as certificates are compared with it.
func canonical(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.WithZone("").Unmap().String()
	}
	if normal, err := normalize(host); err == nil {
		return normal
	}
	return host
}
