package proxy

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An identity is a client whose certificate was accepted.
type identity struct {
	cert  *x509.Certificate
	chain []*x509.Certificate // to the anchor, the certificate itself first
	until time.Time           // the first end of validity in chain

	subject, fingerprint, encoded string // for the backend
}

func newIdentity(chain []*x509.Certificate) *identity {
	id := &identity{cert: chain[0], chain: chain, until: chain[0].NotAfter}
	for _, cert := range chain[1:] {
		if cert.NotAfter.Before(id.until) {
			id.until = cert.NotAfter
		}
	}
	hash := sha256.Sum256(id.cert.Raw)
	id.fingerprint = hex.EncodeToString(hash[:])
	id.subject = distinguishedName(id.cert.RawSubject)
	id.encoded = ":" + base64.StdEncoding.EncodeToString(id.cert.Raw) + ":" // RFC 9440, section 2.1
	return id
}

// The parts of a Name (RFC 5280, section 4.1.2.4). To encoding/asn1 the ending
// SET means one.
type (
	attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	attributeSET []attribute
)

// shortNames are the attributes with names of their own in RFC 4514, section 3.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C",
	"2.5.4.9": "STREET", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// distinguishedName writes a Name as RFC 4514 does, with all but printable ASCII
// as pairs of hexadecimal digits. Two names that differ are never written alike,
// as they could with pkix.Name, which replaces what is not UTF-8.
func distinguishedName(raw []byte) string {
	var name []attributeSET
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return "#" + hex.EncodeToString(raw)
	}
	var b strings.Builder
	for i, set := range slices.Backward(name) {
		if i < len(name)-1 {
			b.WriteByte(',')
		}
		for j, a := range set {
			if j > 0 {
				b.WriteByte('+')
			}
			writeAttribute(&b, a)
		}
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, a attribute) {
	oid := a.Type.String()
	name, known := shortNames[oid]
	isText := a.Value.Class == asn1.ClassUniversal && !a.Value.IsCompound &&
		slices.Contains([]int{asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String}, a.Value.Tag)
	if !known || !isText {
		if !known {
			name = oid
		}
		fmt.Fprintf(b, "%s=#%x", name, a.Value.FullBytes)
		return
	}
	b.WriteString(name)
	b.WriteByte('=')
	value := a.Value.Bytes
	for i, c := range value {
		switch {
		case c < ' ' || c > '~':
			fmt.Fprintf(b, `\%02X`, c)
		case strings.IndexByte(`"+,;<>\`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}
