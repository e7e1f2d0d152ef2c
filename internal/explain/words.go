package explain

import (
	"crypto/x509"
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
	case len(names(c)) > 0:
		return quote(names(c)[0])
	case c.Subject.String() != "":
		return quote(c.Subject.String())
	}
	return "without a name"
}

// issuerName returns what people call the issuer of c, in quotes.
func issuerName(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return quote(c.Issuer.CommonName)
	}
	return quote(c.Issuer.String())
}

// quote makes what a stranger wrote fit for a terminal.
func quote(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return `"` + printable(s) + `"`
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == '"' {
			return '?'
		}
		return r
	}, s)
}

// names returns the names and addresses that c is for.
func names(c *x509.Certificate) []string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

// list returns some of what there is.
func list(all []string) string {
	const most = 5
	shown := make([]string, 0, most)
	for _, s := range all[:min(len(all), most)] {
		shown = append(shown, printable(s))
	}
	if more := len(all) - len(shown); more > 0 {
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
	for _, u := range c.UnknownExtKeyUsage {
		all = append(all, "use "+u.String())
	}
	slices.Sort(all)
	return list(slices.Compact(all))
}

// role returns what the certificate at index i of p is.
func (p path) role(i int) string {
	c := p.certs[i]
	switch {
	case i == 0:
		return "the server's certificate"
	case i == len(p.certs)-1 && (p.anchored || selfSigned(c)):
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
