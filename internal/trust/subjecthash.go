package trust

import (
	"bytes"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

var errName = errors.New("not a distinguished name")

// subjectHash returns the eight hex digits by which OpenSSL looks up a
// certificate in a folder, as printed by openssl x509 -subject_hash. The
// argument is the DER of the subject.
//
// It is the beginning of the SHA-1 of the name's canonical form, which
// X509_NAME_hash_ex(3) names without describing it: each relative name as a
// DER set, without the sequence around them, every string as UTF-8 in lower
// case, without spaces at its ends and with one for several inside.
func subjectHash(subject []byte) (string, error) {
	var name asn1.RawValue
	if rest, err := asn1.Unmarshal(subject, &name); err != nil || len(rest) > 0 || name.Tag != asn1.TagSequence {
		return "", errName
	}
	var canonical []byte
	for rest := name.Bytes; len(rest) > 0; {
		var relative asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &relative); err != nil || relative.Tag != asn1.TagSet {
			return "", errName
		}
		set, err := canonicalSet(relative.Bytes)
		if err != nil {
			return "", err
		}
		canonical = append(canonical, set...)
	}
	digest := sha1.Sum(canonical)
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(digest[:])), nil
}

func canonicalSet(rest []byte) ([]byte, error) {
	var elements [][]byte
	for len(rest) > 0 {
		var attribute struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		var err error
		if rest, err = asn1.Unmarshal(rest, &attribute); err != nil {
			return nil, errName
		}
		if text, ok := stringValue(attribute.Value); ok {
			attribute.Value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(canonicalText(text))}
		}
		element, err := asn1.Marshal(attribute)
		if err != nil {
			return nil, errName
		}
		elements = append(elements, element)
	}
	slices.SortFunc(elements, bytes.Compare)
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(elements, nil)})
}

const (
	tagVisibleString   = 26
	tagUniversalString = 28
)

// stringValue returns the text of a value of the types that OpenSSL makes
// canonical; all others stay as they are.
func stringValue(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), true
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, tagVisibleString:
		runes := make([]rune, len(v.Bytes)) // OpenSSL reads each byte as Latin-1
		for i, b := range v.Bytes {
			runes[i] = rune(b)
		}
		return string(runes), true
	case asn1.TagBMPString:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(v.Bytes[2*i:])
		}
		return string(utf16.Decode(units)), true
	case tagUniversalString:
		runes := make([]rune, len(v.Bytes)/4)
		for i := range runes {
			runes[i] = rune(binary.BigEndian.Uint32(v.Bytes[4*i:]))
		}
		return string(runes), true
	}
	return "", false
}

// canonicalText folds ASCII only, whatever else the text holds.
func canonicalText(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' })
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.Join(words, " "))
}
