package explain

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"

	"devproxy/internal/hostname"
)

func normalize(host string) (string, error) { return hostname.Normalize(host) }

// hostCause returns why leaf is not for host, if it is not. RFC 6125 and, for
// wildcards, what the clients make of it.
func hostCause(leaf *x509.Certificate, host string) (Cause, bool) {
	if host == "" {
		return Cause{}, false
	}
	address := net.ParseIP(host) != nil
	shown := printable(host)
	if leaf.VerifyHostname(host) == nil {
		if address || !onlyWide(leaf, host) {
			return Cause{}, false
		}
		return Cause{
			Kind:    WideWildcard,
			Problem: fmt.Sprintf("only the wildcard %s covers %s, and clients refuse a wildcard directly below a top level domain", wildcardAbove(shown), shown),
			Fix:     fmt.Sprintf("have a certificate issued that names %s itself", shown),
		}.mismatched(host, address), true
	}
	if cn := leaf.Subject.CommonName; !address && len(leaf.DNSNames) == 0 && cn != "" {
		old := &x509.Certificate{DNSNames: []string{cn}}
		if old.VerifyHostname(host) == nil && !onlyWide(old, host) {
			return Cause{
				Kind:    CommonNameOnly,
				Problem: fmt.Sprintf("the certificate names %s only as its common name; browsers and Go look at subject alternative names alone", shown),
				Fix:     fmt.Sprintf("have a certificate issued with the subject alternative name DNS:%s", shown),
			}.browsers(chromiumName, "SSL_ERROR_BAD_CERT_DOMAIN"), true
		}
	}
	return Cause{
		Kind:    WrongHost,
		Problem: mismatch(leaf, host, address),
		Fix:     fmt.Sprintf("use a name that is in the certificate, or have one issued for %s; another server than expected may have answered", shown),
	}.mismatched(host, address), true
}

// mismatched returns c with what clients call a wrong host.
func (c Cause) mismatched(host string, address bool) Cause {
	c = c.browsers(chromiumName, "SSL_ERROR_BAD_CERT_DOMAIN")
	if address {
		c.OpenSSL = sslAddress.String()
		c.Python = pythonSays(fmt.Sprintf("IP address mismatch, certificate is not valid for '%s'.", host))
	} else {
		c.OpenSSL = sslHost.String()
		c.Python = pythonSays(fmt.Sprintf("Hostname mismatch, certificate is not valid for '%s'.", printable(host)))
	}
	return c
}

// mismatch says what leaf is for instead of host, and, where one could have
// expected otherwise, why that is not enough.
func mismatch(leaf *x509.Certificate, host string, address bool) string {
	all := names(leaf)
	if len(all) == 0 {
		if cn := leaf.Subject.CommonName; cn != "" {
			return fmt.Sprintf("the certificate has no subject alternative names, and its common name is %s, not %s", quote(cn), printable(host))
		}
		return "the certificate is for no host at all: it has neither subject alternative names nor a common name"
	}
	text := fmt.Sprintf("the certificate is for %s, not for %s", list(all), printable(host))
	if address {
		switch {
		case slices.Contains(leaf.DNSNames, host):
			text += ": the address is there as a DNS name, which counts for names only"
		case len(leaf.IPAddresses) == 0:
			text += ": names do not count for an address, even if they lead there"
		}
		return text
	}
	if len(leaf.DNSNames) == 0 {
		return text + ": addresses do not count for a name, even if it leads there"
	}
	if leaf.Subject.CommonName != "" && strings.EqualFold(leaf.Subject.CommonName, host) {
		text += ": the common name does not count beside subject alternative names"
	}
	for _, pattern := range leaf.DNSNames {
		base, wildcard := strings.CutPrefix(strings.ToLower(pattern), "*.")
		switch {
		case !wildcard:
		case base == host:
			return text + ": a wildcard does not cover the name above it"
		case strings.HasSuffix(host, "."+base):
			return text + ": a wildcard covers one label only"
		}
	}
	return text
}

// onlyWide reports whether host, a name that leaf covers, is covered by
// nothing but a wildcard directly below a top level domain.
func onlyWide(leaf *x509.Certificate, host string) bool {
	wide := wildcardAbove(host)
	if strings.Count(wide, ".") != 1 {
		return false
	}
	rest := slices.DeleteFunc(slices.Clone(leaf.DNSNames), func(n string) bool { return strings.EqualFold(n, wide) })
	return (&x509.Certificate{DNSNames: rest}).VerifyHostname(host) != nil
}

// wildcardAbove returns the wildcard that would cover host.
func wildcardAbove(host string) string {
	_, rest, _ := strings.Cut(host, ".")
	return "*." + rest
}
