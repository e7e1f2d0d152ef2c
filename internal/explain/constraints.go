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
	var outside []string
	excluded := false
	for _, c := range p.certs[:i] {
		for _, n := range c.DNSNames {
			if permitted, banned := dnsAllowed(ca, strings.ToLower(n)); !permitted || banned {
				outside, excluded = append(outside, n), excluded || banned
			}
		}
		for _, ip := range c.IPAddresses {
			if permitted, banned := ipAllowed(ca, ip); !permitted || banned {
				outside, excluded = append(outside, ip.String()), excluded || banned
			}
		}
	}
	if len(outside) == 0 {
		return Cause{}, false
	}
	text := fmt.Sprintf("the certificate names %s, for which %s may not issue", list(outside), p.role(i))
	if may := permits(ca); !excluded && len(may) > 0 {
		text += ": its name constraints permit " + list(may)
	}
	ssl := sslPermitted
	if excluded {
		ssl = sslExcluded
	}
	return Cause{
		Kind:    OutsideConstraints,
		Problem: text,
		Fix:     "have the certificate issued for permitted names only, by itself for each group, or by a CA that may issue for all of them",
	}.called(ssl).browsers(chromiumInvalid, "SEC_ERROR_CERT_NOT_IN_NAME_SPACE"), true
}

// dnsAllowed reports whether ca's constraints permit name, and whether they
// exclude it. A wildcard is excluded if one of the names it covers is.
func dnsAllowed(ca *x509.Certificate, name string) (permitted, excluded bool) {
	permitted = len(ca.PermittedDNSDomains) == 0 || slices.ContainsFunc(ca.PermittedDNSDomains, func(d string) bool { return within(name, d) })
	excluded = slices.ContainsFunc(ca.ExcludedDNSDomains, func(d string) bool {
		if within(name, d) {
			return true
		}
		base, wildcard := strings.CutPrefix(name, "*.")
		_, above, _ := strings.Cut(strings.ToLower(d), ".")
		return wildcard && above == base
	})
	return permitted, excluded
}

// within reports whether name, in lower case, lies in the subtree of domain.
// With a dot in front the domain itself does not, as is widely understood.
func within(name, domain string) bool {
	domain = strings.ToLower(domain)
	if domain == "" || name == domain {
		return true
	}
	return strings.HasSuffix(name, "."+strings.TrimPrefix(domain, "."))
}

// ipAllowed is dnsAllowed for addresses.
func ipAllowed(ca *x509.Certificate, ip net.IP) (permitted, excluded bool) {
	has := func(n *net.IPNet) bool { return n.Contains(ip) }
	return len(ca.PermittedIPRanges) == 0 || slices.ContainsFunc(ca.PermittedIPRanges, has), slices.ContainsFunc(ca.ExcludedIPRanges, has)
}

// permits returns what ca may issue for.
func permits(ca *x509.Certificate) []string {
	all := slices.Clone(ca.PermittedDNSDomains)
	for _, n := range ca.PermittedIPRanges {
		all = append(all, n.String())
	}
	return all
}
