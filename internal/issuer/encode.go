package issuer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// A handshake waits for a leaf, so that it is encoded here, byte for byte as
// x509.CreateCertificate would. That one verifies each signature that it has
// made, for the sake of keys in hardware, and encodes by reflection: together
// more than half of its time.

// Tags of DER (X.690, section 8), as they stand in certificates.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagContext         = 0x80 // in context, primitive: | n
	tagContextOuter    = 0xa0 // in context, holding others: | n
)

// element returns the encoding of one value. Those in certificates of leaves are
// shorter than 64 KiB.
func element(tag byte, contents ...[]byte) []byte {
	size := 0
	for _, c := range contents {
		size += len(c)
	}
	b := make([]byte, 0, 4+size)
	switch {
	case size < 0x80:
		b = append(b, tag, byte(size))
	case size < 0x100:
		b = append(b, tag, 0x81, byte(size))
	default:
		b = append(b, tag, 0x82, byte(size>>8), byte(size))
	}
	for _, c := range contents {
		b = append(b, c...)
	}
	return b
}

// sequence is element for the most frequent tag.
func sequence(contents ...[]byte) []byte { return element(tagSequence, contents...) }

// bits returns a bit string of whole bytes.
func bits(b []byte) []byte { return element(tagBitString, []byte{0}, b) }

// extended returns an extension of id, the last byte of an OID below id-ce.
func extended(id byte, critical bool, value []byte) []byte {
	oid := element(tagOID, []byte{0x55, 0x1d, id})
	if critical {
		return sequence(oid, element(tagBoolean, []byte{0xff}), element(tagOctetString, value))
	}
	return sequence(oid, element(tagOctetString, value))
}

// moment returns a time, in the form that RFC 5280, section 4.1.2.5, demands.
func moment(t time.Time) []byte {
	t = t.UTC()
	if t.Year() < 2050 {
		return element(tagUTCTime, []byte(t.Format("060102150405Z")))
	}
	return element(tagGeneralizedTime, []byte(t.Format("20060102150405Z")))
}

// newSerial returns 20 octets, as many as may be, with 158 random bits. The
// others make a number without a sign bit or leading zeros.
func newSerial() []byte {
	serial := make([]byte, 20)
	rand.Read(serial) // never fails
	serial[0] = serial[0]&0x3f | 0x40
	return serial
}

// subjectAlternative returns the SAN of a leaf.
func (h host) subjectAlternative() []byte {
	if h.addr.IsValid() {
		return sequence(element(tagContext|7, h.addr.AsSlice()))
	}
	return sequence(element(tagContext|2, []byte(h.name)))
}

// encodeLeaf returns the certificate of a server for h, the owner of public,
// signed by ca.
//
// It stays without a subject: the SAN is critical then, as RFC 5280, section
// 4.2.1.6, demands. There is no common name because some clients would hold it
// against the constraints as well (clients.md §2).
func (ca *CA) encodeLeaf(h host, public *ecdsa.PublicKey, serial []byte, from, until time.Time) ([]byte, error) {
	point, err := public.Bytes()
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(point) // as keyID
	ecdsaWithSHA256 := sequence(element(tagOID, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}))
	p256 := sequence(
		element(tagOID, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}),
		element(tagOID, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}),
	)
	serverAuth := element(tagOID, []byte{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01})
	var authority []byte
	if id := ca.intermediate.SubjectKeyId; len(id) > 0 {
		authority = extended(35, false, sequence(element(tagContext, id)))
	}
	unsigned := sequence(
		element(tagContextOuter, element(tagInteger, []byte{2})), // version 3
		element(tagInteger, serial),
		ecdsaWithSHA256,
		ca.intermediate.RawSubject,
		sequence(moment(from), moment(until)),
		sequence(), // subject
		sequence(p256, bits(point)),
		element(tagContextOuter|3, sequence(
			extended(15, true, element(tagBitString, []byte{7, 0x80})), // keyUsage: digitalSignature
			extended(37, false, sequence(serverAuth)),
			extended(14, false, element(tagOctetString, id[:20])),
			authority,
			extended(17, true, h.subjectAlternative()),
		)),
	)
	digest := sha256.Sum256(unsigned)
	signature, err := ecdsa.SignASN1(rand.Reader, ca.key, digest[:])
	if err != nil {
		return nil, err
	}
	return sequence(unsigned, ecdsaWithSHA256, bits(signature)), nil
}
