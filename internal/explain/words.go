package explain

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// name returns what people call the holder of c, in quotes.
func name(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return quote(c.Subject.CommonName)
	case len(c.DNSNames) > 0:
		return quote(c.DNSNames[0])
	case len(c.IPAddresses) > 0:
		return quote(c.IPAddresses[0].String())
	case len(c.Subject.Names) > 0:
		return quote(distinguished(c.Subject))
	}
	return "without a name"
}

// issuerName returns what people call the issuer of c, in quotes.
func issuerName(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return quote(c.Issuer.CommonName)
	}
	return quote(distinguished(c.Issuer))
}

// distinguished returns n, or the beginning of one that is endless.
func distinguished(n pkix.Name) string {
	const most = 8
	var all pkix.RDNSequence
	for _, a := range n.Names[:min(len(n.Names), most)] {
		if s, ok := a.Value.(string); ok {
			a.Value = shortened(s)
		}
		all = append(all, pkix.RelativeDistinguishedNameSET{a})
	}
	return all.String()
}

// quote makes what a stranger wrote fit for a sentence.
func quote(s string) string { return `"` + strings.ReplaceAll(printable(s), `"`, "?") + `"` }

// printable makes what a stranger wrote fit for a line of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, shortened(s))
}

// shortened returns s without what is too much of it. It does not look at all
// of it: it may have a hundred thousand letters.
func shortened(s string) string {
	const most = 200 // runes
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// names returns the names and addresses that c is for.
func names(c *x509.Certificate) []string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

// maxListed is how many of many names a sentence has.
const maxListed = 5

// list returns some of what there is.
func list(all []string) string { return listOf(all, len(all)) }

// listOf is list for the first few of total.
func listOf(first []string, total int) string {
	shown := make([]string, 0, maxListed)
	for _, s := range first[:min(len(first), maxListed)] {
		shown = append(shown, printable(s))
	}
	if more := total - len(shown); more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), more)
	}
	return strings.Join(shown, ", ")
}

// moment returns a time and how far it is from now.
func moment(at, now time.Time) string {
	away := now.Sub(at).Abs()
	var distance string
	switch days := int(away / (24 * time.Hour)); {
	case away < 2*time.Hour:
		distance = count(int(away/time.Minute), "minute")
	case days < 2:
		distance = count(int(away/time.Hour), "hour")
	default:
		distance = count(days, "day")
	}
	text := at.UTC().Format("2006-01-02 15:04 UTC")
	if at.Before(now) {
		return text + ", " + distance + " ago"
	}
	return text + ", in " + distance
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// usages returns what extended key usages allow, in words.
func usages(c *x509.Certificate) string {
	var all []string
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageClientAuth:
			all = append(all, "clients")
		case x509.ExtKeyUsageCodeSigning:
			all = append(all, "signing code")
		case x509.ExtKeyUsageEmailProtection:
			all = append(all, "e-mail")
		case x509.ExtKeyUsageTimeStamping:
			all = append(all, "time stamps")
		case x509.ExtKeyUsageOCSPSigning:
			all = append(all, "OCSP")
		default:
			all = append(all, "other uses")
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	total := len(all) + len(c.UnknownExtKeyUsage)
	for _, u := range c.UnknownExtKeyUsage[:min(len(c.UnknownExtKeyUsage), maxListed)] {
		all = append(all, "use "+u.String())
	}
	return listOf(all, total)
}

// role returns what the certificate at index i of p is.
func (p path) role(i int) string {
	c := p.certs[i]
	switch {
	case i == 0:
		return "the server's certificate"
	case i == len(p.certs)-1 && (p.anchored || p.q.selfSigned(c)):
		return "the root " + name(c)
	default:
		return "the intermediate " + name(c)
	}
}

// renew returns how to get another certificate, with what it must have, in the
// place of that at i.
func (p path) renew(i int, with string) string {
	switch {
	case i == 0:
		return "have the server's certificate issued anew" + with
	case i == len(p.certs)-1 && p.anchored:
		return "have the root made anew" + with + ", trust it, and have all below it issued anew"
	default:
		return "have the intermediate issued anew" + with + ", and send it from the server"
	}
}
