package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"devproxy/internal/certfile"
	"devproxy/internal/doctor"
)

// shownReport is the output of cert show --json, and what the text is made of.
// Schema goes up when a field changes its meaning; new fields and checks may
// come without.
//
// The checks are: file, key, verify, client, ca, revoked, request,
// revocation-list and note. States are ok, unknown, warn and fail.
type shownReport struct {
	Schema          int            `json:"schema"`
	OK              bool           `json:"ok"` // nothing is in state fail
	Source          shownSource    `json:"source"`
	Certificates    []shownCert    `json:"certificates"` // in the order of the file or the server
	Keys            []shownKey     `json:"keys"`
	Requests        []shownRequest `json:"requests"`
	RevocationLists []shownList    `json:"revocation_lists"`
	Purpose         string         `json:"purpose,omitzero"` // the first certificate was judged as: "server", "client", "ca" or "other"
	JudgedFor       string         `json:"judged_for,omitzero"`
	Checks          []doctor.Check `json:"checks"`
}

type shownSource struct {
	Kind        string `json:"kind"` // "file" or "server"
	Name        string `json:"name"` // the file, or the host as asked for
	PKCS12      bool   `json:"pkcs12,omitzero"`
	Address     string `json:"address,omitzero"` // where the server answered
	Version     string `json:"tls_version,omitzero"`
	CipherSuite string `json:"cipher_suite,omitzero"`
	ALPN        string `json:"alpn,omitzero"`
	AsksClient  bool   `json:"asks_client_certificate,omitzero"`
}

// shownNames are subject alternative names or constraints.
type shownNames struct {
	DNS   []string `json:"dns,omitempty"`
	IP    []string `json:"ip,omitempty"` // addresses; in constraints, prefixes
	Email []string `json:"email,omitempty"`
	URI   []string `json:"uri,omitempty"`
}

type shownCert struct {
	Subject       string     `json:"subject"` // RFC 4514; cut where it is endless
	Issuer        string     `json:"issuer"`
	SelfIssued    bool       `json:"self_issued"` // issuer and subject are the same
	Names         shownNames `json:"names"`
	NotBefore     time.Time  `json:"not_before"`
	NotAfter      time.Time  `json:"not_after"`
	DaysLeft      int        `json:"days_left"` // negative: that many days ago
	CA            bool       `json:"ca"`
	PathLength    *int       `json:"path_length,omitempty"` // of a CA: how many CAs may stand below it; absent: any number
	Permitted     shownNames `json:"permitted,omitzero"`
	Excluded      shownNames `json:"excluded,omitzero"`
	Uses          []string   `json:"uses"` // "servers", "clients", …; empty: any
	Key           string     `json:"key"`
	Signature     string     `json:"signature"` // its algorithm
	WeakKey       bool       `json:"weak_key"`
	WeakSignature bool       `json:"weak_signature"` // of another; what a root signs itself with does not count
	Fingerprint   string     `json:"fingerprint"`
	Serial        string     `json:"serial"`  // lower-case hex
	HasKey        bool       `json:"has_key"` // its private key is in the file
}

type shownKey struct {
	Key         string `json:"key,omitzero"` // its kind; "" if encrypted
	Encrypted   bool   `json:"encrypted"`
	Certificate *int   `json:"certificate,omitempty"` // the index of the certificate it belongs to
	Request     *int   `json:"request,omitempty"`
}

type shownRequest struct {
	Subject   string     `json:"subject"`
	Names     shownNames `json:"names"`
	Key       string     `json:"key"`
	Signature string     `json:"signature"`
	HasKey    bool       `json:"has_key"`
}

type shownList struct {
	Issuer     string    `json:"issuer"`
	Number     string    `json:"number,omitzero"` // decimal
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Serials    []string  `json:"serials"` // revoked, lower-case hex
}

// reportShown says what s holds, without a verdict.
func reportShown(s *shown, now time.Time) shownReport {
	c := s.content
	r := shownReport{
		Schema: 1, Source: s.source,
		Certificates: []shownCert{}, Keys: []shownKey{}, Requests: []shownRequest{}, RevocationLists: []shownList{},
		Checks: []doctor.Check{},
	}
	for _, cert := range c.Certificates {
		r.Certificates = append(r.Certificates, describeCert(cert, now))
	}
	for _, req := range c.Requests {
		r.Requests = append(r.Requests, shownRequest{
			Subject:   distinguished(req.Subject),
			Names:     alternativeNames(req.DNSNames, req.IPAddresses, req.EmailAddresses, len(req.URIs), func(i int) string { return req.URIs[i].String() }),
			Key:       keyKind(req.PublicKey),
			Signature: req.SignatureAlgorithm.String(),
		})
	}
	for _, l := range c.RevocationLists {
		list := shownList{Issuer: distinguished(l.Issuer), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Serials: []string{}}
		if l.Number != nil {
			list.Number = l.Number.String()
		}
		for _, entry := range l.RevokedCertificateEntries {
			list.Serials = append(list.Serials, entry.SerialNumber.Text(16))
		}
		r.RevocationLists = append(r.RevocationLists, list)
	}
	for _, k := range c.Keys {
		r.Keys = append(r.Keys, r.describeKey(c, k))
	}
	return r
}

// describeKey says whose key k is, and marks what it belongs to.
func (r *shownReport) describeKey(c *certfile.Content, k certfile.Key) shownKey {
	if k.Encrypted {
		return shownKey{Encrypted: true}
	}
	found := shownKey{Key: keyKind(k.Private.Public())}
	for i, cert := range c.Certificates {
		if certfile.Fits(cert.PublicKey, k.Private) {
			r.Certificates[i].HasKey = true
			if found.Certificate == nil {
				found.Certificate = &i
			}
		}
	}
	for i, req := range c.Requests {
		if certfile.Fits(req.PublicKey, k.Private) {
			r.Requests[i].HasKey = true
			if found.Request == nil {
				found.Request = &i
			}
		}
	}
	return found
}

func describeCert(c *x509.Certificate, now time.Time) shownCert {
	d := shownCert{
		Subject:       distinguished(c.Subject),
		Issuer:        distinguished(c.Issuer),
		SelfIssued:    bytes.Equal(c.RawSubject, c.RawIssuer),
		Names:         alternativeNames(c.DNSNames, c.IPAddresses, c.EmailAddresses, len(c.URIs), func(i int) string { return c.URIs[i].String() }),
		NotBefore:     c.NotBefore,
		NotAfter:      c.NotAfter,
		DaysLeft:      daysLeft(c.NotAfter, now),
		CA:            c.BasicConstraintsValid && c.IsCA,
		Permitted:     constrainedNames(c.PermittedDNSDomains, c.PermittedIPRanges, c.PermittedEmailAddresses, c.PermittedURIDomains),
		Excluded:      constrainedNames(c.ExcludedDNSDomains, c.ExcludedIPRanges, c.ExcludedEmailAddresses, c.ExcludedURIDomains),
		Uses:          usesOf(c),
		Key:           keyKind(c.PublicKey),
		Signature:     c.SignatureAlgorithm.String(),
		WeakKey:       weakKey(c.PublicKey),
		WeakSignature: weakSignature(c.SignatureAlgorithm) && !bytes.Equal(c.RawSubject, c.RawIssuer),
		Fingerprint:   fingerprint(c),
		Serial:        serialText(c),
	}
	if d.CA && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		d.PathLength = &c.MaxPathLen
	}
	return d
}

func alternativeNames(dns []string, ips []net.IP, emails []string, uris int, uri func(int) string) shownNames {
	n := shownNames{DNS: dns, Email: emails}
	for _, ip := range ips {
		n.IP = append(n.IP, ip.String())
	}
	for i := range uris {
		n.URI = append(n.URI, uri(i))
	}
	return n
}

func constrainedNames(dns []string, ranges []*net.IPNet, emails, uris []string) shownNames {
	n := shownNames{DNS: dns, Email: emails, URI: uris}
	for _, r := range ranges {
		n.IP = append(n.IP, r.String())
	}
	return n
}

// distinguished returns a name as RFC 4514 writes it, or the beginning of one
// that is endless.
func distinguished(n pkix.Name) string {
	const most = 12
	var all pkix.RDNSequence
	for _, attribute := range n.Names[:min(len(n.Names), most)] {
		if text, ok := attribute.Value.(string); ok {
			attribute.Value = cut(text, foreignRunes)
		}
		all = append(all, pkix.RelativeDistinguishedNameSET{attribute})
	}
	text := all.String()
	if len(n.Names) > most {
		text += ",…"
	}
	return cut(text, textRunes)
}

// keyKind names a public key.
func keyKind(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "of an unknown kind"
}

// weakKey reports whether today's clients refuse a key for its length.
func weakKey(public crypto.PublicKey) bool {
	const least = 2048
	k, ok := public.(*rsa.PublicKey)
	return ok && k.N.BitLen() < least
}

func weakSignature(algorithm x509.SignatureAlgorithm) bool {
	return slices.Contains([]x509.SignatureAlgorithm{
		x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
	}, algorithm)
}

// usesOf names extended key usages; nil is any.
func usesOf(c *x509.Certificate) []string {
	known := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageAny: "any", x509.ExtKeyUsageServerAuth: "servers", x509.ExtKeyUsageClientAuth: "clients",
		x509.ExtKeyUsageCodeSigning: "signing code", x509.ExtKeyUsageEmailProtection: "e-mail",
		x509.ExtKeyUsageTimeStamping: "time stamps", x509.ExtKeyUsageOCSPSigning: "OCSP",
	}
	uses := []string{}
	for _, u := range c.ExtKeyUsage {
		uses = append(uses, orDefault(known[u], "another use"))
	}
	for _, id := range c.UnknownExtKeyUsage {
		uses = append(uses, id.String())
	}
	return uses
}

// first returns the first name, "" if there is none.
func (n shownNames) first() string {
	for _, name := range n.all() {
		return name
	}
	return ""
}

// list returns the names in a line, as many as fit.
func (n shownNames) list() string { return someOf(n.all()) }

func (n shownNames) all() (all []string) {
	for _, kind := range []struct {
		prefix string
		names  []string
	}{{"", n.DNS}, {"", n.IP}, {"e-mail ", n.Email}, {"URI ", n.URI}} {
		for _, name := range kind.names {
			all = append(all, kind.prefix+cut(name, foreignRunes))
		}
	}
	return all
}

// someOf joins the first of many: as many as the constraints of a CA of ours
// with no domains of its own, at least.
func someOf(all []string) string {
	const most = 16
	if more := len(all) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), more)
	}
	return strings.Join(all, ", ")
}
