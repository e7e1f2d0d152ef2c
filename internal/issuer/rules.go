package issuer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"devproxy/internal/hostname"
)

const (
	// maxNames is a number that all clients were seen to accept (clients.md §1).
	maxNames = 200
	// maxNamesSize bounds the names of one certificate, in bytes. Java refuses
	// handshake messages above 32 KiB, and the chain has to fit in one.
	maxNamesSize = 16 << 10
	maxHost      = 253 // bytes of a host name (RFC 1035, section 2.3.4)
)

// A RuleError says why a certificate is not issued as asked.
type RuleError struct {
	Problem string // one line, lower case
	Hint    string // what to do instead, one line, lower case; may be empty
	Outside bool   // a name lies outside the CA's constraints; a new CA with other constraints is the way
	Domain  string // then the domain that those would need, the first if several names lie outside; empty if it cannot be one (a public suffix, an address)
}

func (e *RuleError) Error() string { return e.Problem }

// parseHosts returns what given names mean, each once, in their order. It
// enforces what has to hold in every certificate, whoever signs it.
func parseHosts(given []string) (hosts []host, notes []string, err error) {
	if len(given) == 0 {
		return nil, nil, &RuleError{Problem: "a certificate needs a name"}
	}
	seen := make(map[host]bool)
	size := 0
	var underscored []string
	for _, s := range given {
		h, err := parseHost(s)
		if err != nil {
			return nil, nil, err
		}
		if seen[h] {
			continue
		}
		seen[h] = true
		hosts = append(hosts, h)
		size += len(h.name)
		if strings.Contains(h.name, "_") {
			underscored = append(underscored, hostname.Display(h.name))
		}
		if len(hosts) > maxNames || size > maxNamesSize {
			return nil, nil, &RuleError{
				Problem: fmt.Sprintf("more than %d names or %d KiB of them are too much for one certificate", maxNames, maxNamesSize>>10),
				Hint:    "make several certificates, or one for a wildcard",
			}
		}
	}
	if len(underscored) > 0 {
		notes = append(notes, "Java refuses host names with an underscore: "+list(underscored))
	}
	return hosts, notes, nil
}

// parseHost reads one name as people write them.
func parseHost(s string) (host, error) {
	if len(s) > 4*maxHost {
		return host{}, &RuleError{Problem: fmt.Sprintf("a host name of %d bytes is longer than %d", len(s), maxHost)}
	}
	if addr, ok := parseAddr(s); ok {
		if addr.Zone() != "" {
			return host{}, &RuleError{
				Problem: fmt.Sprintf("%q has a zone, which no certificate can hold", s),
				Hint:    "leave out the % and what follows it",
			}
		}
		return host{addr: plainAddr(addr)}, nil
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return host{}, &RuleError{
			Problem: fmt.Sprintf("%q is a range, and certificates are for single addresses", s),
			Hint:    "write the address itself",
		}
	}
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		return parseWildcard(s, rest)
	}
	if strings.Contains(s, "*") {
		return host{}, &RuleError{
			Problem: fmt.Sprintf("%q: a wildcard stands for the whole leftmost label and nothing else", s),
			Hint:    "write it as in \"*.shop.localhost\"",
		}
	}
	name, err := parseName(s)
	return host{name: name}, err
}

// parseAddr reads an address, also as it stands in a URL.
func parseAddr(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok && strings.Contains(inner, ":") {
			s = inner
		}
	}
	addr, err := netip.ParseAddr(s)
	return addr, err == nil
}

// parseWildcard reads "*." and rest. For a wildcard directly below a single
// label Firefox and Deno refuse the whole certificate, its other names too
// (clients.md §1).
func parseWildcard(s, rest string) (host, error) {
	if strings.Contains(rest, "*") {
		return host{}, &RuleError{
			Problem: fmt.Sprintf("%q: there can be one wildcard only, the leftmost label", s),
			Hint:    "write it as in \"*.shop.localhost\"",
		}
	}
	base, err := parseName(rest)
	if err != nil {
		return host{}, err
	}
	if !strings.Contains(base, ".") {
		return host{}, &RuleError{
			Problem: fmt.Sprintf("Chromium and Firefox match no name to %q; under a CA with constraints Firefox and Deno refuse all of its certificate", s),
			Hint:    fmt.Sprintf("name each host, or put a label between, as in \"*.shop.%s\"", base),
		}
	}
	if len(base) > maxHost-len("*.") {
		return host{}, &RuleError{Problem: fmt.Sprintf("no name below %q can be as short as host names must be", base)}
	}
	return host{name: "*." + base}, nil
}

func parseName(s string) (string, error) {
	if _, port, ok := strings.Cut(s, ":"); ok {
		hint := "write the host name alone"
		if strings.HasPrefix(port, "//") {
			return "", &RuleError{Problem: fmt.Sprintf("%q is a URL, not a host name", s), Hint: hint}
		}
		return "", &RuleError{Problem: fmt.Sprintf("%q: a certificate is for a host, on all of its ports", s), Hint: hint}
	}
	if strings.Contains(s, "@") {
		return "", &RuleError{
			Problem: fmt.Sprintf("%q is an e-mail address, not a host name", s),
			Hint:    "certificates for people are those of clients",
		}
	}
	name, err := hostname.Normalize(s)
	if err != nil {
		return "", &RuleError{Problem: err.Error()}
	}
	// Browsers take such a name for an IPv4 address (WHATWG URL, section 3.5).
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "", &RuleError{
			Problem: fmt.Sprintf("%q ends in a number, so clients take it for an address", s),
			Hint:    "write an IPv4 address with its four numbers",
		}
	}
	return name, nil
}

// checkUnmixed fails for names besides addresses. Bun cannot evaluate
// constraints on addresses, and refuses all of a certificate that has one, for
// its names too (clients.md §2).
func checkUnmixed(hosts []host) error {
	isAddr := func(h host) bool { return h.addr.IsValid() }
	if slices.ContainsFunc(hosts, isAddr) && slices.ContainsFunc(hosts, func(h host) bool { return !isAddr(h) }) {
		return &RuleError{
			Problem: "names and addresses do not go together: Bun refuses all of such a certificate, for the names too",
			Hint:    "make two certificates, one for the names and one for the addresses",
		}
	}
	return nil
}

// admit returns a *RuleError if some of hosts lie outside c.
func (c Constraints) admit(hosts []host) error {
	var outside []host
	var first error
	for _, h := range hosts {
		if err := c.Permits(h.String()); err != nil {
			outside = append(outside, h)
			if first == nil {
				first = err
			}
		}
	}
	if first == nil {
		return nil
	}
	e := &RuleError{Problem: first.Error(), Outside: true}
	if len(outside) > 1 {
		var others []string
		for _, h := range outside[1:] {
			others = append(others, hostname.Display(h.String()))
		}
		e.Problem += "; so is " + list(others)
	}
	h := outside[0]
	domain := strings.TrimPrefix(h.name, "*.")
	switch {
	case h.addr.IsValid():
		e.Hint = "addresses cannot be added to the constraints, so use a name"
	case isPublic(domain):
		e.Hint = fmt.Sprintf("%q cannot be added to the constraints, because anybody may have names below it: use a domain of your own", hostname.Display(domain))
	default:
		e.Domain = domain
	}
	return e
}

// isPublic reports whether anybody may register names directly below domain,
// or below all names below it.
func isPublic(domain string) bool {
	// Of rules such as *.ck the list has no entry for ck itself: all that is one
	// label longer is a suffix. Nobody may register the label used here (RFC
	// 5891, section 4.2.3.1).
	below := "no--such-name." + domain
	if suffix, _ := publicsuffix.PublicSuffix(below); suffix == below {
		return true
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return domain == suffix && (icann || strings.Contains(suffix, "."))
}

// list joins names for a message. Whoever sends a request decides how many.
func list(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
