package nssdb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
)

// settings is what a database holds about one certificate.
type settings struct {
	certificates []object   // its row; more than one only if someone erred
	trust        []trustRow // rows that NSS would find for it
	der          []byte     // itself, nil if not known
	fingerprint  [32]byte
}

// settings returns what concerns the certificate with this fingerprint, which
// is cert unless that is nil. Without it and without its row, a classic trust
// row can be told only with the help of a modern one.
func (db *database) settings(ctx context.Context, fingerprint [32]byte, cert *x509.Certificate) (settings, error) {
	all, err := db.objects(ctx, classCertificate, certificateAttributes)
	if err != nil {
		return settings{}, err
	}
	trust, err := db.trustRows(ctx)
	if err != nil {
		return settings{}, err
	}
	certificates := slices.DeleteFunc(all, func(o object) bool {
		return sha256.Sum256(o.attributes[attrValue]) != fingerprint
	})
	var known []identity
	for _, o := range certificates {
		known = append(known, o.identity())
	}
	for _, row := range trust {
		if row.class == classTrust && bytes.Equal(row.attributes[attrHash], fingerprint[:]) {
			known = append(known, row.identity())
		}
	}
	if cert != nil {
		id, err := identityOf(cert)
		if err != nil {
			return settings{}, err
		}
		known = append(known, id)
	}
	s := newSettings(certificates, trust, known...)
	s.fingerprint = fingerprint
	if cert != nil {
		s.der = cert.Raw
	}
	return s, nil
}

// newSettings picks the rows of trust that belong to one of ids.
func newSettings(certificates []object, trust []trustRow, ids ...identity) settings {
	s := settings{certificates: certificates}
	if len(certificates) > 0 {
		s.der = certificates[0].attributes[attrValue]
		s.fingerprint = sha256.Sum256(s.der)
	}
	for _, row := range trust {
		if slices.Contains(ids, row.identity()) {
			s.trust = append(s.trust, row)
		}
	}
	return s
}

func identityOf(cert *x509.Certificate) (identity, error) {
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return identity{}, fmt.Errorf("encode the serial number: %v", err)
	}
	return identity{string(cert.RawIssuer), string(serial)}, nil
}

// about reports whether row speaks of the certificate of s, not of another
// with the same issuer and serial number.
func (s *settings) about(row trustRow) bool {
	hash := row.attributes[row.hash]
	switch {
	case s.der != nil:
		return bytes.Equal(hash, row.sum(s.der))
	case row.class == classTrust:
		return bytes.Equal(hash, s.fingerprint[:])
	}
	return true
}

// entry returns s as users of the package see it.
func (s *settings) entry(k keys) Entry {
	e := Entry{}
	if len(s.certificates) > 0 {
		e.Nickname = string(s.certificates[0].attributes[attrLabel])
	} else {
		e.Orphan = slices.ContainsFunc(s.trust, s.about)
		if !e.Orphan {
			return e
		}
	}
	if len(s.trust) == 0 {
		e.Detail = "it has no trust settings"
		return e
	}
	for _, row := range s.trust {
		if e.Detail = s.objection(row, k); e.Detail != "" {
			e.Unchecked = k.state == keysUnknown
			return e
		}
	}
	e.Trusted = true
	if k.state == keysPassword {
		e.Unchecked = true
		e.Detail = "signatures were not checked: the database has a password"
	}
	return e
}

// objection returns why NSS would not trust the certificate by row, or "".
func (s *settings) objection(row trustRow, k keys) string {
	switch {
	case !s.about(row):
		return "its trust settings are for another certificate with the same issuer and serial number"
	case !bytes.Equal(row.attributes[row.server], number(row.anchor)):
		return "its trust settings do not make it a root for TLS servers"
	}
	switch k.state {
	case keysMissing:
		return "its trust settings are not signed: there is no " + keyFile
	case keysUnset:
		return "its trust settings are not signed: " + keyFile + " is not set up"
	case keysUnknown:
		return "the signatures of its trust settings cannot be checked: " + ErrFormat.Error()
	case keysPassword:
		return ""
	}
	for _, a := range row.signed {
		value, ok := row.attributes[a]
		switch {
		case !ok:
			continue
		case row.signatures[a] == nil:
			return "its trust settings are not signed"
		case !verify(row.signatures[a], k.password, row.id, a, value):
			return "its trust settings have a wrong signature"
		}
	}
	return ""
}
