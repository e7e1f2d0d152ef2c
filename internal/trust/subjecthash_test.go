package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSubjectHash(t *testing.T) {
	openssl := tool(t, "openssl")
	type pair struct {
		kind []int
		tag  int
		text string
	}
	o, cn, email := []int{2, 5, 4, 10}, []int{2, 5, 4, 3}, []int{1, 2, 840, 113549, 1, 9, 1}
	for name, sets := range map[string][][]pair{
		"ours":            {{{o, asn1.TagPrintableString, "devproxy"}}, {{cn, asn1.TagUTF8String, "devproxy root Bücher@höst"}}},
		"case and spaces": {{{cn, asn1.TagUTF8String, "  A  B\t C\nD "}}},
		"only spaces":     {{{cn, asn1.TagUTF8String, "   "}}},
		"BMP":             {{{cn, asn1.TagBMPString, "\x00A\x00\xfc\x01\x00"}}},
		"universal":       {{{cn, 28, "\x00\x00\x00A\x00\x00\x01\x00"}}},
		"Latin-1":         {{{cn, asn1.TagT61String, "\xdcBER"}}},
		"IA5":             {{{email, asn1.TagIA5String, "Me@Example.COM"}}},
		"numeric stays":   {{{cn, asn1.TagNumericString, "1 2  3"}}},
		"two in a set":    {{{cn, asn1.TagUTF8String, "Z"}, {o, asn1.TagUTF8String, "A"}}},
		"sorted anew":     {{{cn, asn1.TagPrintableString, "z"}, {cn, asn1.TagUTF8String, "B  b  b  b"}}},
		"empty":           {},
	} {
		var raw []byte
		for _, set := range sets {
			var content []byte
			for _, p := range set {
				der, err := asn1.Marshal(struct {
					Type  asn1.ObjectIdentifier
					Value asn1.RawValue
				}{p.kind, asn1.RawValue{Tag: p.tag, Bytes: []byte(p.text)}})
				if err != nil {
					t.Fatal(err)
				}
				content = append(content, der...)
			}
			der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: content})
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, der...)
		}
		subject, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: raw})
		if err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: subject, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{RawSubject: subject}, key.Public(), key)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		file := filepath.Join(t.TempDir(), "cert.pem")
		writeFile(t, file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		out, err := exec.Command(openssl, "x509", "-noout", "-subject_hash", "-in", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		got, err := subjectHash(subject)
		if want := strings.TrimSpace(string(out)); got != want || err != nil {
			t.Errorf("%s: got %s, %v, OpenSSL says %s", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "\x30", "\x31\x00", "\x30\x02\x30\x00", "\x30\x04\x31\x02\x30\x00", "\x30\x00\x00"} {
		if got, err := subjectHash([]byte(bad)); err == nil {
			t.Errorf("%q: got %s, want an error", bad, got)
		}
	}
}
