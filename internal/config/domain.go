package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"devproxy/internal/hostname"
)

// unregistered is a label that no rule of the public suffix list names, so that
// only wildcard rules match it. Nobody may register it: hyphens in the third
// and fourth place are reserved (RFC 5891, section 4.2.3.1).
const unregistered = "no--such-name"

// readDomains reads ca.domains.
func readDomains(t table) []string {
	var domains []string
	t.texts("domains", func(i int, s string, report func(*Error)) {
		domain, e := parseDomain(s)
		if e != nil {
			report(e)
			return
		}
		domains = append(domains, domain)
		if w := warnDomain(domain); w != nil {
			w.Key = t.label("domains")
			t.p.warn(w, t.p.layout.line(t.at("domains", strconv.Itoa(i))...))
		}
	})
	slices.Sort(domains)
	return slices.Compact(domains)
}

// CheckDomain returns nil for a domain, in normal form, that ca.domains may
// name, else an *Error that says why not.
func CheckDomain(domain string) error {
	if _, err := parseDomain(domain); err != nil {
		return err
	}
	return nil
}

// parseDomain returns a domain in normal form. A root that may sign for a
// public suffix could sign for the sites of strangers.
func parseDomain(s string) (string, *Error) {
	if rest, ok := strings.CutPrefix(strings.TrimPrefix(s, "*"), "."); ok {
		return "", fault(fmt.Sprintf("write %q: the names below it are included", rest), "%q is not a domain", s)
	}
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return "", fault("remove it: loopback and private addresses are always permitted", "%q is an IP address, not a domain", s)
	}
	domain, err := hostname.Normalize(s)
	if err != nil {
		return "", fault("write a domain such as \"shop.example.dev\"", "%s", err)
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	managed := icann || strings.Contains(suffix, ".")
	// home.arpa is on the list, yet nobody can register it (RFC 8375).
	if domain == suffix && managed && domain != "home.arpa" {
		return "", fault(fmt.Sprintf("write a domain of your own below it, such as %q", "shop."+hostname.Display(domain)),
			"%q is a public suffix: anybody may have names below it", s)
	}
	// Of rules such as *.ck the list has no entry for ck itself: all that is
	// one label longer is a suffix.
	below := unregistered + "." + domain
	if suffix, _ := publicsuffix.PublicSuffix(below); suffix == below {
		return "", fault(fmt.Sprintf("write a domain of your own below it, such as %q", "shop.example."+hostname.Display(domain)),
			"all names below %q are public suffixes: anybody may have names below them", s)
	}
	return domain, nil
}
