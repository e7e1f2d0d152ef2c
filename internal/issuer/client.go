package issuer

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"devproxy/internal/hostname"
)

// maxCommonName is in characters (RFC 5280, appendix A.1, ub-common-name).
const maxCommonName = 64

// addClient names the client that template is for: in the common name, which
// people and servers read, and in the SAN where name is of a kind that fits.
//
// Verifiers hold a common name that could be a host name against the
// constraints on names unless the SAN has one: OpenSSL 3 if it has a dot in it,
// Java 17 also without.
func (ca *CA) addClient(template *x509.Certificate, name string) (notes []string, err error) {
	if err := checkCommonName(name); err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{CommonName: name}
	if _, ok := parseAddr(name); ok {
		return nil, &RuleError{
			Problem: fmt.Sprintf("%q is an address, and clients have names", name),
			Hint:    "name the person or the program",
		}
	}
	if strings.Contains(name, "@") {
		email, ok := parseEmail(name)
		if !ok {
			return []string{fmt.Sprintf("%q is no e-mail address that a certificate can hold as such, so it is the common name only", name)}, nil
		}
		template.EmailAddresses = []string{email}
		return nil, nil
	}
	if strings.Contains(name, ".") {
		host, err := hostname.Normalize(name)
		switch {
		case err == nil && ca.constraints.covers(host):
			template.Subject.CommonName = host
			if len(host) > maxCommonName {
				return nil, errLongName(name)
			}
			template.DNSNames = []string{host}
			return nil, nil
		case err == nil && isASCII(name):
			return nil, ca.outsideClient(name, host)
		}
	}
	if looksLikeHost(name) && !ca.constraints.covers(strings.ToLower(name)) {
		notes = append(notes, fmt.Sprintf("Java servers take %q for a host name and refuse it: an e-mail address or two words work there, too", name))
	}
	return notes, nil
}

func (ca *CA) outsideClient(name, host string) error {
	e := &RuleError{
		Problem: fmt.Sprintf("%q could be a host name, and as such it is outside the constraints of the CA, which OpenSSL and Java hold it against", name),
		Hint:    "write a name without dots, or an e-mail address",
		Outside: true,
	}
	if !isPublic(host) {
		e.Domain = host
	}
	return e
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// looksLikeHost reports whether name could be a label of a host name.
func looksLikeHost(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// checkCommonName fails for names that a person could not tell from others on
// the screen, or that some client could not read.
func checkCommonName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return &RuleError{Problem: fmt.Sprintf("%q is not UTF-8", name[:min(len(name), 4*maxCommonName)])}
	case utf8.RuneCountInString(name) > maxCommonName:
		return errLongName(name)
	case strings.TrimSpace(name) == "":
		return &RuleError{Problem: "a client needs a name"}
	case strings.TrimSpace(name) != name:
		return &RuleError{Problem: fmt.Sprintf("the name %q begins or ends with a space", name)}
	case strings.Contains(name, "*"):
		return &RuleError{Problem: fmt.Sprintf("%q: a client's certificate has no wildcard", name), Hint: "name the person or the program"}
	}
	for _, r := range name {
		// IsPrint leaves out control and format characters, those that turn
		// the direction of writing among them, and all spaces but one.
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return &RuleError{Problem: fmt.Sprintf("the name %q has the character %U, which cannot be seen", name, r)}
		}
	}
	return nil
}

func errLongName(name string) error {
	shown := name
	if runes := []rune(name); len(runes) > maxCommonName {
		shown = string(runes[:maxCommonName]) + "…"
	}
	return &RuleError{Problem: fmt.Sprintf("the name %q of a client is longer than %d characters", shown, maxCommonName)}
}

// parseEmail returns the address as the SAN holds it: ASCII, the domain
// normalised.
func parseEmail(s string) (string, bool) {
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || parsed.Name != "" {
		return "", false
	}
	at := strings.LastIndexByte(s, '@')
	local := s[:at]
	domain, err := hostname.Normalize(s[at+1:])
	if err != nil || !isASCII(local) {
		return "", false
	}
	return local + "@" + domain, true
}
