// Package explain says in words why clients refuse a server's certificate,
// with the names that OpenSSL, Python, Chromium and Firefox give each reason.
//
// [Fetch] gets what a server presents without judging it; [Explain] judges.
// crypto/x509 stops at the first thing it finds wrong; Explain looks at each by
// itself, reports all that hold, and also what Go accepts and other clients
// do not.
package explain

import (
	"cmp"
	"context"
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

// An Explanation is what Explain found.
type Explanation struct {
	Verified bool     // crypto/x509 verifies the chain; clients that are stricter may have causes still
	Causes   []Cause  // the most telling first
	Notes    []string // what clients put up with but the server should not send, and what was too much to look at; one sentence each
}

// Explain returns all reasons why a client refuses chain, the server's
// certificate first, when it asked for host, a name or an IP address, at the
// time now, and trusts roots; nil trusts nothing.
//
// There are no causes if crypto/x509 verifies the chain and no client measured
// is stricter. A cause of a client that is can be known by its empty names for
// the others.
//
// Whatever the chain is, the work is bounded; a note says what was left out.
// Once ctx ends, Explain returns what little it has.
func Explain(ctx context.Context, chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) Explanation {
	if len(chain) == 0 {
		return Explanation{Causes: []Cause{{
			Kind:    NoCertificate,
			Problem: "the server sent no certificate",
			Fix:     "configure a certificate and its key on the server",
		}}}
	}
	if roots == nil {
		roots = x509.NewCertPool()
	}
	q := newInquiry(chain, canonical(host), roots, now)
	if ctx.Err() != nil {
		return Explanation{}
	}
	paths, err := q.paths(ctx)
	var best path
	var causes []Cause
	for i, p := range paths {
		if ctx.Err() != nil {
			return Explanation{}
		}
		found := p.causes()
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
			Problem: "the chain does not verify: " + printable(strings.TrimPrefix(err.Error(), "x509: ")),
			Fix:     "have the certificate issued anew",
		})
	}
	slices.SortStableFunc(causes, func(a, b Cause) int { return cmp.Compare(a.Kind.rank(), b.Kind.rank()) })
	return Explanation{Verified: err == nil, Causes: causes, Notes: append(q.notes(), q.leftOut()...)}
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
