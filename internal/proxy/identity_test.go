package proxy

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
)

func TestDistinguishedName(t *testing.T) {
	text := func(oid asn1.ObjectIdentifier, tag int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
	}
	cn, email := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	utf8 := func(value string) pkix.RDNSequence { return pkix.RDNSequence{{text(cn, asn1.TagUTF8String, value)}} }
	for _, test := range []struct {
		name pkix.RDNSequence
		want string
	}{
		{nil, ""},
		{utf8("alice"), "CN=alice"},
		{utf8(""), "CN="},
		{utf8(" #a b "), `CN=\ #a b\ `},
		{utf8("#1"), `CN=\#1`},
		{utf8(`a,b+c"d\e<f>g;h=i`), `CN=a\,b\+c\"d\\e\<f\>g\;h=i`},
		{utf8("a\r\nX-Admin: 1\x00"), `CN=a\0D\0AX-Admin: 1\00`},
		{utf8("Jürgen"), `CN=J\C3\BCrgen`},
		{pkix.RDNSequence{{text(cn, asn1.TagT61String, "\xe4")}}, "CN=#1401e4"},
		{pkix.RDNSequence{{text(cn, asn1.TagT61String, "\xf6")}}, "CN=#1401f6"},
		{pkix.RDNSequence{{text(email, asn1.TagIA5String, "a@b")}}, "1.2.840.113549.1.9.1=#1603614062"},
		{pkix.RDNSequence{
			{text(asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.TagPrintableString, "Org")},
			{text(cn, asn1.TagPrintableString, "a"), text(asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.TagPrintableString, "b")},
		}, "CN=a+OU=b,O=Org"},
	} {
		der, err := asn1.Marshal(test.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := distinguishedName(der); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if got := distinguishedName([]byte{0x30, 5}); got != "#3005" {
		t.Errorf("not a name: got %q", got)
	}
}

func FuzzDistinguishedName(f *testing.F) {
	for _, name := range []string{"alice", "a,\x00", "\xff"} {
		der, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(name)}}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := distinguishedName(raw)
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) || len(got) > 16*len(raw)+1 {
			t.Errorf("%x: got %q", raw, got)
		}
	})
}
