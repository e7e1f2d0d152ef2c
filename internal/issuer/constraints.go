package issuer

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"devproxy/internal/hostname"
)

// Constraints are what a CA may sign for: names equal to or below one of DNS,
// and addresses in one of IP. They stand, critical, in root and intermediate
// (RFC 5280, section 4.2.1.10). They must not be changed.
type Constraints struct {
	DNS []string       // normalised, without leading dots
	IP  []netip.Prefix // masked
}

// NewConstraints returns the constraints of a new CA: the names and addresses
// that never leave a machine or its network, and domains, which must be
// normalised.
func NewConstraints(domains []string) Constraints {
	c := Constraints{
		DNS: []string{"localhost", "test", "internal", "local", "home.arpa"},
		IP: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"), // loopback
			netip.MustParsePrefix("::1/128"),
			netip.MustParsePrefix("10.0.0.0/8"), // private
			netip.MustParsePrefix("172.16.0.0/12"),
			netip.MustParsePrefix("192.168.0.0/16"),
			netip.MustParsePrefix("fc00::/7"),
			netip.MustParsePrefix("169.254.0.0/16"), // link-local
			netip.MustParsePrefix("fe80::/10"),
		},
	}
	return c.Union(domains)
}

// Permits returns nil if the CA may sign for host: a normalised name, "*." and
// such a name for those below it, or an IP address. Otherwise the error says
// what is permitted.
func (c Constraints) Permits(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return c.permitsAddr(plainAddr(addr))
	}
	return c.permitsName(host)
}

func (c Constraints) permitsName(name string) error {
	if c.covers(name) {
		return nil
	}
	shown := make([]string, len(c.DNS))
	for i, domain := range c.DNS {
		shown[i] = hostname.Display(domain)
	}
	return fmt.Errorf("%q is outside the constraints of the CA, which may sign for names in %s",
		hostname.Display(name), strings.Join(shown, ", "))
}

func (c Constraints) permitsAddr(addr netip.Addr) error {
	if slices.ContainsFunc(c.IP, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	shown := make([]string, len(c.IP))
	for i, p := range c.IP {
		shown[i] = p.String()
	}
	return fmt.Errorf("%s is outside the constraints of the CA, which may sign for addresses in %s",
		addr, strings.Join(shown, ", "))
}

func (c Constraints) covers(name string) bool {
	return slices.ContainsFunc(c.DNS, func(domain string) bool { return hostname.Within(name, domain) })
}

// Missing returns those of domains, which must be normalised, that the CA may
// not sign for.
func (c Constraints) Missing(domains []string) []string {
	return slices.DeleteFunc(slices.Clone(domains), c.covers)
}

// Union returns c with those of domains, which must be normalised, added that
// it does not permit yet.
func (c Constraints) Union(domains []string) Constraints {
	u := Constraints{DNS: slices.Clone(c.DNS), IP: slices.Clone(c.IP)}
	for _, domain := range domains {
		if !u.covers(domain) {
			u.DNS = append(u.DNS, domain)
		}
	}
	return u
}

// check fails if c constrains less than it seems to: an absent kind of name,
// an empty domain or an empty prefix permit everything.
func (c Constraints) check() error {
	if len(c.DNS) == 0 || len(c.IP) == 0 {
		return errors.New("the constraints leave out names or addresses, which permits all of them")
	}
	for _, domain := range c.DNS {
		if name, err := hostname.Normalize(domain); err != nil || name != domain {
			return fmt.Errorf("%q cannot be a constraint on names", domain)
		}
	}
	for _, p := range c.IP {
		if !p.IsValid() || p.Bits() == 0 || p != p.Masked() {
			return fmt.Errorf("%s cannot be a constraint on addresses", p)
		}
	}
	return nil
}

// constraintsOf returns the constraints that cert carries. It fails unless
// they are critical and of the kind that newCA makes.
func constraintsOf(cert *x509.Certificate) (Constraints, error) {
	if len(cert.PermittedDNSDomains)+len(cert.PermittedIPRanges) == 0 {
		return Constraints{}, errors.New("has no name constraints")
	}
	if !cert.PermittedDNSDomainsCritical {
		return Constraints{}, errors.New("has name constraints that are not critical")
	}
	c := Constraints{DNS: cert.PermittedDNSDomains}
	for _, n := range cert.PermittedIPRanges {
		p, err := prefix(n)
		if err != nil {
			return Constraints{}, err
		}
		c.IP = append(c.IP, p)
	}
	if err := c.check(); err != nil {
		return Constraints{}, fmt.Errorf("has bad name constraints: %v", err)
	}
	return c, nil
}

func prefix(n *net.IPNet) (netip.Prefix, error) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if !ok || bits != addr.BitLen() {
		return netip.Prefix{}, fmt.Errorf("has a bad name constraint %s", n)
	}
	return netip.PrefixFrom(addr, ones), nil
}
