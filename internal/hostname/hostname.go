// Package hostname brings host names into the one form the rest of devproxy
// compares: lower case, no final dot, international names in their ASCII
// (punycode) spelling. Every package that meets a name typed by a person or
// sent by a client passes it through Normalize before using it.
package hostname

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 1035, section 2.3.4, in bytes of the ASCII form.
const (
	maxName  = 253
	maxLabel = 63
)

// profile maps as browsers do for a name typed into the address bar (UTS 46,
// non-transitional). It leaves underscores alone: development names use them,
// and all clients but Java accept them.
var profile = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
)

// Normalize returns name in the form devproxy compares: ASCII, lower case,
// without a final dot. The result normalises to itself.
//
// It fails for names that cannot stand in a URL or a certificate: empty ones
// and empty labels, labels over 63 or names over 253 bytes, characters other
// than letters, digits, hyphen and underscore, and IP addresses.
func Normalize(name string) (string, error) {
	if name == "" {
		return "", errors.New("empty host name")
	}
	// A longer input cannot become a valid name; refuse it before any work.
	if len(name) > 4*maxName {
		return "", fmt.Errorf("host name of %d bytes is longer than %d", len(name), maxName)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("host name %q is not UTF-8", name)
	}
	ascii := strings.TrimSuffix(name, ".")
	if !plain(ascii) {
		var err error
		if ascii, err = profile.ToASCII(ascii); err != nil {
			return "", fmt.Errorf("host name %q: %v", name, err)
		}
		ascii = strings.TrimSuffix(ascii, ".")
	}
	if len(ascii) > maxName {
		return "", fmt.Errorf("host name of %d bytes is longer than %d", len(ascii), maxName)
	}
	// Only a name that ends in a digit can be an address; ParseAddr's error for
	// all others would be the one allocation here.
	if endsInDigit(ascii) {
		if _, err := netip.ParseAddr(ascii); err == nil {
			return "", fmt.Errorf("%q is an IP address, not a host name", name)
		}
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if err := checkLabel(label); err != nil {
			return "", fmt.Errorf("host name %q: %w", name, err)
		}
	}
	return ascii, nil
}

// plain reports whether s is already in normal form as far as its characters
// go, so that the common case needs neither tables nor an allocation.
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return !strings.Contains(s, "xn--")
}

func endsInDigit(s string) bool {
	return s != "" && '0' <= s[len(s)-1] && s[len(s)-1] <= '9'
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("empty label")
	case len(label) > maxLabel:
		return fmt.Errorf("label of %d bytes is longer than %d", len(label), maxLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("label %q begins or ends with a hyphen", label)
	}
	for i := range len(label) {
		c := label[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return fmt.Errorf("character %q is not allowed", c)
		}
	}
	return nil
}

// Display returns a normalised name as a person writes it, with
// international labels in Unicode. A name that has no such form is returned
// as it is.
func Display(name string) string {
	if !strings.Contains(name, "xn--") {
		return name
	}
	if wild, ok := strings.CutPrefix(name, "*."); ok {
		return "*." + Display(wild)
	}
	unicode, err := idna.Display.ToUnicode(name)
	if err != nil {
		return name
	}
	return unicode
}

// Within reports whether name is domain or lies below it. Both must be
// normalised.
func Within(name, domain string) bool {
	if !strings.HasSuffix(name, domain) {
		return false
	}
	return len(name) == len(domain) || name[len(name)-len(domain)-1] == '.'
}

// Parent returns what follows the first label of a normalised name, or "" for
// a single label.
func Parent(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}
