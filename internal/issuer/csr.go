package issuer

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SignRequest signs a request (PKCS #10, PEM with any text around it, or DER)
// for a server or a client. Its names must be ones that Issue takes. All else
// that it asks for, such as to be a CA, is left out and noted. The error is a
// *RuleError if the request is at fault.
func (ca *CA) SignRequest(csr []byte, client bool, life time.Duration, now time.Time) (*Issued, error) {
	req, keyNotes, err := openRequest(csr, client)
	if err != nil {
		return nil, err
	}
	order, notes, err := orderOf(req, client)
	if err != nil {
		return nil, err
	}
	order.Life = life
	template, more, err := ca.fill(order, now)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = keyUsage(req.PublicKey, client)
	issued, err := ca.issue(template, req.PublicKey)
	if err != nil {
		return nil, err
	}
	issued.Notes = slices.Concat(keyNotes, notes, more)
	return issued, nil
}

// CheckRequest returns the error of SignRequest for what is no request, or one
// with a bad key or signature: all that can be seen without the CA.
func CheckRequest(csr []byte, client bool) error {
	_, _, err := openRequest(csr, client)
	return err
}

// openRequest reads a request and checks its key and its signature.
func openRequest(csr []byte, client bool) (req *x509.CertificateRequest, notes []string, err error) {
	if req, err = parseRequest(csr); err != nil {
		return nil, nil, err
	}
	if notes, err = checkRequestKey(req.PublicKey, client); err != nil {
		return nil, nil, err
	}
	// Only now: to check against an absurd key takes long.
	if err := req.CheckSignature(); err != nil {
		return nil, nil, &RuleError{
			Problem: fmt.Sprintf("the signature of the request is not good (%v): it is damaged, or was not made with its own key", err),
			Hint:    "make a new request",
		}
	}
	return req, notes, nil
}

// orderOf returns what req asks for, as far as it can be had.
func orderOf(req *x509.CertificateRequest, client bool) (o Order, notes []string, err error) {
	common, other := subjectOf(req)
	if len(common) > 1 {
		return Order{}, nil, &RuleError{
			Problem: "the request has several common names, so it does not say which is meant",
			Hint:    "make a request with one",
		}
	}
	left := leftOut(req)
	switch {
	case client && len(common) == 1:
		o.Client = common[0]
		left = append(left, namesBesides(req, o.Client)...)
	case client && len(req.EmailAddresses) > 0:
		o.Client = req.EmailAddresses[0]
		left = append(left, namesBesides(req, o.Client)...)
	case client:
		return Order{}, nil, &RuleError{
			Problem: "the request names no client",
			Hint:    `give it a common name, as in: openssl req -subj "/CN=Alice Example"`,
		}
	case len(req.DNSNames)+len(req.IPAddresses) > 0:
		if o.Names, err = requestedHosts(req); err != nil {
			return Order{}, nil, err
		}
		left = append(left, namesBesides(req, "")...)
	case len(common) == 1:
		if _, err := parseHost(common[0]); err != nil {
			return Order{}, nil, errNoHost()
		}
		o.Names = common
		left = append(left, namesBesides(req, "")...)
		notes = append(notes, fmt.Sprintf("the request has no subject alternative name, so its common name %q becomes one: clients look nowhere else", common[0]))
	default:
		return Order{}, nil, errNoHost()
	}
	repeats := func(name string) bool { return strings.EqualFold(name, common[0]) }
	if !client && len(common) == 1 && !slices.ContainsFunc(o.Names, repeats) {
		other = append([]string{fmt.Sprintf("common name %.80q", common[0])}, other...)
	}
	if left = append(left, other...); len(left) > 0 {
		notes = append(notes, "left out of what the request asks for: "+list(left))
	}
	return o, notes, nil
}

func errNoHost() error {
	return &RuleError{
		Problem: "the request names no host: it has no subject alternative name",
		Hint:    `add one, as in: openssl req -addext "subjectAltName=DNS:shop.localhost"`,
	}
}

// requestedHosts returns the names and addresses of a server, as text.
func requestedHosts(req *x509.CertificateRequest) ([]string, error) {
	for _, name := range req.DNSNames {
		if _, ok := parseAddr(name); ok {
			return nil, &RuleError{
				Problem: fmt.Sprintf("the request has the address %q as a DNS name, where clients do not look for it", name),
				Hint:    fmt.Sprintf("make a new request that has it as an address: IP:%s", strings.Trim(name, "[]")),
			}
		}
	}
	names := slices.Clone(req.DNSNames)
	for _, ip := range req.IPAddresses {
		names = append(names, ip.String())
	}
	return names, nil
}

// subjectOf returns the common names of req, and what else its subject holds.
func subjectOf(req *x509.CertificateRequest) (common, other []string) {
	rest := make(map[string]bool)
	for _, a := range req.Subject.Names {
		text, isText := a.Value.(string)
		switch {
		case isText && a.Type.Equal([]int{2, 5, 4, 3}):
			common = append(common, text)
		case !rest[a.Type.String()]:
			rest[a.Type.String()] = true
			other = append(other, "subject "+attributeName(a.Type))
		}
	}
	return common, other
}

func attributeName(id asn1.ObjectIdentifier) string {
	switch id.String() {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	}
	return id.String()
}

// leftOut names the extensions of req that no certificate of ours takes over.
func leftOut(req *x509.CertificateRequest) []string {
	var left []string
	for _, ext := range req.Extensions {
		switch id := ext.Id.String(); id {
		case "2.5.29.17":
		case "2.5.29.14":
			// The key's identifier says the same in every certificate.
		case "2.5.29.15":
			left = append(left, "keyUsage")
		case "2.5.29.37":
			left = append(left, "extendedKeyUsage")
		case "2.5.29.30":
			left = append(left, "nameConstraints")
		case "2.5.29.19":
			// CA:FALSE, an empty sequence or one with false, changes nothing.
			var b struct {
				IsCA       bool `asn1:"optional"`
				MaxPathLen int  `asn1:"optional,default:-1"`
			}
			if _, err := asn1.Unmarshal(ext.Value, &b); err != nil || b.IsCA {
				left = append(left, "to be a CA (basicConstraints)")
			}
		default:
			left = append(left, "extension "+id)
		}
	}
	return left
}

// namesBesides names the kinds of names of req that do not become part of the
// certificate: for a client all but client itself, for a server, with client
// empty, all but hosts.
func namesBesides(req *x509.CertificateRequest, client string) []string {
	var left []string
	add := func(what string, n int) {
		if n > 0 {
			left = append(left, fmt.Sprintf("%s (%d)", what, n))
		}
	}
	emails := req.EmailAddresses
	if client != "" {
		same := func(s string) bool { return strings.EqualFold(strings.TrimSuffix(s, "."), client) }
		add("DNS names", len(slices.DeleteFunc(slices.Clone(req.DNSNames), same)))
		add("IP addresses", len(req.IPAddresses))
		emails = slices.DeleteFunc(slices.Clone(emails), same)
	}
	add("e-mail addresses", len(emails))
	add("URIs", len(req.URIs))
	add("names of other kinds", otherNames(req))
	return left
}

// otherNames counts the names in the SAN of req that x509 passes over.
func otherNames(req *x509.CertificateRequest) (n int) {
	for _, ext := range req.Extensions {
		if !ext.Id.Equal([]int{2, 5, 29, 17}) {
			continue
		}
		var all []asn1.RawValue
		if _, err := asn1.Unmarshal(ext.Value, &all); err == nil {
			n += len(all)
		}
	}
	return max(0, n-len(req.DNSNames)-len(req.IPAddresses)-len(req.EmailAddresses)-len(req.URIs))
}
