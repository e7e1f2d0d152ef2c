package explain

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
)

// constraintCause returns which names of the certificates below p's i-th that
// one may not issue for, if any: RFC 5280, section 4.2.1.10, for DNS names and
// addresses.
func (p path) constraintCause(i int) (Cause, bool) {
	ca := p.certs[i]
	var all outside
	for _, c := range p.certs[:i] {
		all.add(p.q.outside(ca, c))
	}
	if all.total == 0 {
		return Cause{}, false
	}
	text := fmt.Sprintf("the certificate names %s, for which %s may not issue", listOf(all.first, all.total), p.role(i))
	if may, total := permits(ca); !all.excluded && total > 0 {
		text += ": its name constraints permit " + listOf(may, total)
	}
	ssl := sslPermitted
	if all.excluded {
		ssl = sslExcluded
	}
	return Cause{
		Kind:    OutsideConstraints,
		Problem: text,
		Fix:     "have the certificate issued for permitted names only, by itself for each group, or by a CA that may issue for all of them",
	}.called(ssl).browsers(chromiumInvalid, "SEC_ERROR_CERT_NOT_IN_NAME_SPACE"), true
}

// outside is what a CA may not issue for.
type outside struct {
	first    []string // as many as are listed
	total    int
	excluded bool // one at least is not only not permitted
}

func (o *outside) add(more outside) {
	o.first = append(o.first, more.first[:min(len(more.first), maxListed-len(o.first))]...)
	o.total += more.total
	o.excluded = o.excluded || more.excluded
}

// name adds one name.
func (o *outside) name(n string, excluded bool) {
	o.add(outside{first: []string{n}, total: 1, excluded: excluded})
}

// outside returns which names of c ca may not issue for.
func (q *inquiry) outside(ca, c *x509.Certificate) outside {
	if o, known := q.constrained[pair{ca, c}]; known {
		return o
	}
	var o outside
	domains := len(ca.PermittedDNSDomains) + len(ca.ExcludedDNSDomains)
	if domains > 0 {
		permitted, excluded, names := q.lower(ca).permitted, q.lower(ca).excluded, q.lower(c).names
		for i, n := range names {
			if !q.afford(domains) {
				break
			}
			if in, banned := dnsAllowed(permitted, excluded, n); !in || banned {
				o.name(c.DNSNames[i], banned)
			}
		}
	}
	if ranges := len(ca.PermittedIPRanges) + len(ca.ExcludedIPRanges); ranges > 0 {
		for _, ip := range c.IPAddresses {
			if !q.afford(ranges) {
				break
			}
			if in, banned := ipAllowed(ca, ip); !in || banned {
				o.name(ip.String(), banned)
			}
		}
	}
	q.constrained[pair{ca, c}] = o
	return o
}

// afford takes n comparisons from those that are left.
func (q *inquiry) afford(n int) bool {
	if n > q.comparisons {
		q.moreNames = true
		return false
	}
	q.comparisons -= n
	return true
}

// lowered is a certificate's DNS names and constraints in lower case.
type lowered struct{ names, permitted, excluded []string }

func (q *inquiry) lower(c *x509.Certificate) lowered {
	if l, known := q.lowered[c]; known {
		return l
	}
	each := func(all []string) []string {
		lower := make([]string, len(all))
		for i, s := range all {
			lower[i] = strings.ToLower(s)
		}
		return lower
	}
	l := lowered{each(c.DNSNames), each(c.PermittedDNSDomains), each(c.ExcludedDNSDomains)}
	q.lowered[c] = l
	return l
}

// dnsAllowed reports whether constraints permit name, and whether they exclude
// it; all are in lower case. A wildcard is excluded if one of the names it
// covers is.
func dnsAllowed(permittedDomains, excludedDomains []string, name string) (permitted, excluded bool) {
	permitted = len(permittedDomains) == 0 || slices.ContainsFunc(permittedDomains, func(d string) bool { return within(name, d) })
	base, wildcard := strings.CutPrefix(name, "*.")
	excluded = slices.ContainsFunc(excludedDomains, func(d string) bool {
		if within(name, d) {
			return true
		}
		if !wildcard {
			return false
		}
		_, above, _ := strings.Cut(d, ".")
		return above == base
	})
	return permitted, excluded
}

// within reports whether name lies in the subtree of domain. With a dot in
// front the domain itself does not, as is widely understood.
func within(name, domain string) bool {
	if domain == "" || name == domain {
		return true
	}
	above, ok := strings.CutSuffix(name, strings.TrimPrefix(domain, "."))
	return ok && strings.HasSuffix(above, ".")
}

// ipAllowed is dnsAllowed for addresses.
func ipAllowed(ca *x509.Certificate, ip net.IP) (permitted, excluded bool) {
	has := func(n *net.IPNet) bool { return n.Contains(ip) }
	return len(ca.PermittedIPRanges) == 0 || slices.ContainsFunc(ca.PermittedIPRanges, has), slices.ContainsFunc(ca.ExcludedIPRanges, has)
}

// permits returns the first of what ca may issue for, and of how many.
func permits(ca *x509.Certificate) (first []string, total int) {
	domains, ranges := ca.PermittedDNSDomains, ca.PermittedIPRanges
	first = slices.Clone(domains[:min(len(domains), maxListed)])
	for _, n := range ranges[:min(len(ranges), maxListed)] {
		first = append(first, n.String())
	}
	return first, len(domains) + len(ranges)
}
