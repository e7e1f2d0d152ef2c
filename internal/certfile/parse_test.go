package certfile

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// samples are one of everything, in DER.
type samples struct {
	ca, leaf                   pair
	request, list              []byte
	pkcs8, sec1, pkcs1, public []byte
	encrypted, pkcs12, pkcs7   []byte
}

func newSamples(t testing.TB) samples {
	t.Helper()
	must := func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ca := newPair(t, "ca", nil)
	leaf := newPair(t, "leaf", &ca)
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	type encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	return samples{
		ca: ca, leaf: leaf,
		request: must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "asked"}}, leaf.key)),
		list: must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Now()}},
		}, &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}, RawSubject: ca.cert.RawSubject}, ca.key)),
		pkcs8:  must(x509.MarshalPKCS8PrivateKey(leaf.key)),
		sec1:   must(x509.MarshalECPrivateKey(leaf.key)),
		pkcs1:  x509.MarshalPKCS1PrivateKey(old),
		public: must(x509.MarshalPKIXPublicKey(&leaf.key.PublicKey)),
		encrypted: must(asn1.Marshal(encrypted{
			pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}}, []byte("secret"),
		})),
		pkcs12: encoded(t, leaf.key, leaf.cert, ca.cert),
		pkcs7: must(asn1.Marshal(struct {
			ID   asn1.ObjectIdentifier
			Data asn1.RawValue
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: []byte{0x30, 0}}})),
	}
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// held says in short what c holds.
func held(c *Content) string {
	var all []string
	for _, cert := range c.Certificates {
		all = append(all, cert.Subject.CommonName)
	}
	for _, k := range c.Keys {
		switch {
		case k.Encrypted:
			all = append(all, "encrypted")
		case k.Private != nil:
			all = append(all, "key")
		}
	}
	for _, r := range c.Requests {
		all = append(all, r.Subject.CommonName)
	}
	for _, l := range c.RevocationLists {
		all = append(all, "list of "+l.Issuer.CommonName)
	}
	if c.PKCS12 {
		all = append(all, "pkcs12")
	}
	return strings.Join(all, ", ")
}

func TestParse(t *testing.T) {
	s := newSamples(t)
	leaf, ca := block("CERTIFICATE", s.leaf.cert.Raw), block("CERTIFICATE", s.ca.cert.Raw)
	legacy := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: []byte("secret"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"},
	}))
	trusted := block("TRUSTED CERTIFICATE", append(slices.Clone(s.leaf.cert.Raw), 0x30, 0))
	for _, tt := range []struct{ name, data, want, remark string }{
		{"chain", leaf + ca, "leaf, ca", ""},
		{"CRLF", strings.ReplaceAll(leaf+ca, "\n", "\r\n"), "leaf, ca", ""},
		{"byte order mark", "\ufeff" + leaf, "leaf", ""},
		{"text around", "CONNECTED(00000003)\n---\n 0 s:CN = leaf\n" + leaf + " 1 s:CN = ca\n" + ca + "---\nServer certificate\n", "leaf, ca", ""},
		{"no newline at the end", strings.TrimSpace(leaf), "leaf", ""},
		{"text that begins like DER", "0 s:CN = leaf\n" + leaf, "leaf", ""},
		{"key and chain", block("PRIVATE KEY", s.pkcs8) + leaf + ca, "leaf, ca, key", ""},
		{"old keys", block("EC PRIVATE KEY", s.sec1) + block("RSA PRIVATE KEY", s.pkcs1), "key, key", ""},
		{"parameters", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + block("EC PRIVATE KEY", s.sec1), "key", "parameters of a key"},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", s.encrypted) + legacy, "encrypted, encrypted", ""},
		{"request", block("CERTIFICATE REQUEST", s.request) + block("NEW CERTIFICATE REQUEST", s.request), "asked, asked", ""},
		{"revocation list", block("X509 CRL", s.list), "list of ca", ""},
		{"old labels", block("X509 CERTIFICATE", s.leaf.cert.Raw) + trusted, "leaf, leaf", ""},
		{"certificate in DER", string(s.leaf.cert.Raw), "leaf", ""},
		{"request in DER", string(s.request), "asked", ""},
		{"revocation list in DER", string(s.list), "list of ca", ""},
		{"PKCS#8 in DER", string(s.pkcs8), "key", ""},
		{"SEC 1 in DER", string(s.sec1), "key", ""},
		{"PKCS#1 in DER", string(s.pkcs1), "key", ""},
		{"encrypted key in DER", string(s.encrypted), "encrypted", ""},
		{"PKCS#12", string(s.pkcs12), "pkcs12", ""},
		{"PKCS#12 in BER", "\x30\x80\x02\x01\x03\x30\x80", "pkcs12", ""},
		{"the rest of a damaged file", leaf + ca[:200], "leaf", "has no END line"},
		{"one of two cut off", leaf[:200] + "\n" + ca, "ca", "that begins on line 1 has no END line"},
		{"public key beside", leaf + block("PUBLIC KEY", s.public), "leaf", "is a public key"},
		{"unknown beside", leaf + block("ATTRIBUTE CERTIFICATE", nil), "leaf", "not known here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if got := held(c); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			remarks := strings.Join(append(c.Problems, c.Skipped...), "\n")
			if (remarks == "") != (tt.remark == "") || !strings.Contains(remarks, tt.remark) {
				t.Errorf("got the remarks %q, want …%s…", remarks, tt.remark)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	s := newSamples(t)
	leaf := block("CERTIFICATE", s.leaf.cert.Raw)
	var utf16Text []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + leaf)) {
		utf16Text = append(utf16Text, byte(unit), byte(unit>>8))
	}
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := x509.MarshalPKCS8PrivateKey(exchange)
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(s.leaf.cert.Raw)
	damaged[bytes.Index(damaged, []byte{0x17, 0x0d})+2] = 'x' // in the first UTCTime
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", "it is empty"},
		{"a mark only", "\ufeff", "it is empty"},
		{"blank", "\n \n", "nothing but blanks"},
		{"too large", strings.Repeat("x", MaxSize+1), "larger than 1024 KiB"},
		{"HTML", "\n<!DOCTYPE html><html>", "it is HTML"},
		{"XML", "<?xml version='1.0'?>", "XML or HTML"},
		{"JSON", `{"certificate": "-"}`, "it is JSON"},
		{"text", "hello", "no certificate, request"},
		{"binary", "\x7fELF\x00\x00", "a binary file"},
		{"UTF-16", string(utf16Text), "UTF-16"},
		{"UTF-16 without a mark", string(utf16Text[2:]), "UTF-16"},
		{"SSH", "ssh-ed25519 AAAA me@here", "public key of SSH"},
		{"SSH private", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "a key for SSH"},
		{"JKS", "\xfe\xed\xfe\xed\x00\x00", "Java key store"},
		{"public key", block("PUBLIC KEY", s.public), "the PUBLIC KEY on line 1 is a public key"},
		{"public key in DER", string(s.public), "it is a public key"},
		{"PKCS#7", block("PKCS7", s.pkcs7), "openssl pkcs7"},
		{"PKCS#7 in DER", string(s.pkcs7), "openssl pkcs7"},
		{"base64 only", base64.StdEncoding.EncodeToString(s.leaf.cert.Raw), "base64 without the lines"},
		{"truncated", leaf[:len(leaf)/2], "the CERTIFICATE that begins on line 1 has no END line"},
		{"no beginning", strings.SplitN(leaf, "\n", 2)[1], " ends a CERTIFICATE that has no BEGIN line"},
		{"mixed up", strings.Replace(leaf, "END CERTIFICATE", "END PRIVATE KEY", 1), "ends a PRIVATE KEY, but what began on line 1 is a CERTIFICATE"},
		{"four hyphens", strings.Replace(leaf, "BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE----", 1), "line 1 is damaged: it should read -----BEGIN CERTIFICATE-----"},
		{"indented", strings.ReplaceAll("\n"+leaf, "\n", "\n  "), "line 2 is indented"},
		{"no base64", strings.Replace(leaf, "\nM", "\n!M", 1), "the CERTIFICATE on line 1 is damaged"},
		{"wrong label", block("CERTIFICATE", s.pkcs8), "the CERTIFICATE on line 1 holds a private key"},
		{"request as certificate", block("CERTIFICATE", s.request), "holds a certificate signing request"},
		{"list as certificate", block("CERTIFICATE", s.list), "holds a revocation list"},
		{"certificate as request", block("CERTIFICATE REQUEST", s.leaf.cert.Raw), "holds a certificate"},
		{"encrypted as plain", block("PRIVATE KEY", s.encrypted), "holds an encrypted private key"},
		{"plain as encrypted", block("ENCRYPTED PRIVATE KEY", s.pkcs8), "holds a private key"},
		{"public as private", block("PRIVATE KEY", s.public), "holds a public key"},
		{"damaged certificate", block("CERTIFICATE", damaged), "the CERTIFICATE on line 1 cannot be read: "},
		{"damaged certificate in DER", string(damaged), "it is a certificate that cannot be read: "},
		{"DER cut off", string(s.leaf.cert.Raw[:100]), "damaged or cut off"},
		{"DER with more", string(s.leaf.cert.Raw) + "xx", "2 bytes too many"},
		{"other DER", "\x30\x03\x02\x01\x05", "it is DER, but neither"},
		{"a key for exchange", block("PRIVATE KEY", x25519), "makes no signatures"},
		{"a huge key", block("PRIVATE KEY", append([]byte{0x30, 0x82, 0x30, 0x00, 2, 1, 0}, make([]byte, 0x3000-3)...)), "larger than any key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.data))
			if err == nil {
				t.Fatalf("got %s, want an error", held(c))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want …%s…", err, tt.want)
			}
		})
	}
}

// TestParseSaysOnlySoMuch: a file of damaged parts does not fill the screen.
func TestParseSaysOnlySoMuch(t *testing.T) {
	leaf := newPair(t, "leaf", nil)
	text := string(EncodeCertificates(leaf.cert)) + strings.Repeat("-----BEGIN CERTIFICATE-----\n", 1000) + strings.Repeat(block("A", nil), 1000)
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range [][]string{c.Problems, c.Skipped} {
		if len(got) != maxMentions+1 || !strings.HasPrefix(got[maxMentions], "and 99") {
			t.Errorf("got %d: %v", len(got), got)
		}
	}
}

func TestFits(t *testing.T) {
	one, other := newKey(t), newKey(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !Fits(&one.PublicKey, one) || !Fits(public, private) {
		t.Error("a key does not fit its own")
	}
	if Fits(&one.PublicKey, other) || Fits(public, one) || Fits(nil, one) || Fits(public, nil) {
		t.Error("a key fits another's")
	}
}

// TestParseOpenSSL reads what openssl writes.
func TestParseOpenSSL(t *testing.T) {
	needs(t, "openssl")
	dir := t.TempDir()
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=shop", "-days", "3")
	openssl("x509", "-in", "cert.pem", "-text", "-out", "text.pem")
	openssl("x509", "-in", "cert.pem", "-trustout", "-addtrust", "serverAuth", "-out", "trusted.pem")
	openssl("x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der")
	openssl("req", "-new", "-key", "key.pem", "-subj", "/CN=asked", "-text", "-out", "csr.pem")
	openssl("pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret", "-out", "encrypted.pem")
	openssl("rsa", "-traditional", "-aes128", "-in", "key.pem", "-passout", "pass:secret", "-out", "legacy.pem")
	openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.pem")
	openssl("genpkey", "-algorithm", "ed25519", "-out", "ed.pem")
	openssl("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:secret", "-out", "a.p12")
	openssl("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:secret", "-legacy", "-out", "legacy.p12")
	for file, want := range map[string]string{
		"key.pem": "key", "cert.pem": "shop", "text.pem": "shop", "trusted.pem": "shop", "cert.der": "shop", "csr.pem": "asked",
		"encrypted.pem": "encrypted", "legacy.pem": "encrypted", "ec.pem": "key", "ed.pem": "key", "a.p12": "pkcs12", "legacy.p12": "pkcs12",
	} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if got := held(c); got != want || len(c.Problems) > 0 {
			t.Errorf("%s: got %s, %v, want %s", file, got, c.Problems, want)
		}
		if !c.PKCS12 {
			continue
		}
		key, chain, err := DecodePKCS12(data, "secret")
		if err != nil || len(chain) != 1 || !Fits(chain[0].PublicKey, key) {
			t.Errorf("%s: opened as %v, %v", file, chain, err)
		}
	}
}

// needs skips the test without the program name, or fails it in CI.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing", name)
}
