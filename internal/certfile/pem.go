package certfile

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
)

// addPEM adds the PEM blocks of text. encoding/pem passes over what is
// damaged, which is what people look at a file for: so the blocks are found
// here, and decoded there.
func (c *Content) addPEM(text []byte) {
	label, start, line, number := "", 0, 0, 0 // of the block that has begun
	problem := func(format string, args ...any) { c.Problems = append(c.Problems, fmt.Sprintf(format, args...)) }
	cutOff := func() {
		if label != "" {
			problem("the %s that begins on line %d has no END line: the file is cut off, or was not copied whole", label, line)
		}
	}
	for at := 0; at < len(text); {
		number++
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		from := at
		at = end
		l := string(bytes.TrimRight(text[from:end], " \t\r\n"))
		trimmed := strings.TrimLeft(l, " \t")
		if !strings.HasPrefix(trimmed, "-----") {
			continue
		}
		kind, name, whole := boundary(trimmed)
		switch {
		case kind == "":
		case trimmed != l:
			problem("line %d is indented: the lines of PEM begin at the margin", number)
		case !whole:
			problem("line %d is damaged: it should read -----%s %s-----", number, kind, name)
		case kind == "BEGIN":
			cutOff()
			label, start, line = name, from, number
		case label == "":
			problem("line %d ends a %s that has no BEGIN line", number, name)
		case label != name:
			problem("line %d ends a %s, but what began on line %d is a %s", number, name, line, label)
			label = ""
		default:
			if block, _ := pem.Decode(text[start:end]); block != nil && block.Type == label {
				c.addBlock(block, line)
			} else {
				problem("the %s on line %d is damaged: its text is no base64", label, line)
			}
			label = ""
		}
	}
	cutOff()
}

// boundary reads a line that begins or ends a block: "BEGIN" or "END", and
// what; "" for other lines. whole says that the line is as it should be.
func boundary(line string) (kind, label string, whole bool) {
	const longest = 60 // bytes of a label
	rest := line[len("-----"):]
	for _, kind := range []string{"BEGIN", "END"} {
		after, ok := strings.CutPrefix(rest, kind+" ")
		if !ok {
			continue
		}
		label = strings.Trim(after, "- ")
		whole = after == label+"-----" && label != ""
		return kind, label[:min(len(label), longest)], whole && len(label) <= longest
	}
	return "", "", false
}

// What a block or file can be.
const (
	aCertificate    = "a certificate"
	aRequest        = "a certificate signing request"
	aRevocationList = "a revocation list"
	aPrivateKey     = "a private key"
	anEncryptedKey  = "an encrypted private key"
	aPublicKey      = "a public key"
)

// labels are the PEM labels of what is shown (RFC 7468, and those of OpenSSL
// from before).
var labels = map[string]string{
	"CERTIFICATE":             aCertificate,
	"X509 CERTIFICATE":        aCertificate,
	"TRUSTED CERTIFICATE":     aCertificate,
	"CERTIFICATE REQUEST":     aRequest,
	"NEW CERTIFICATE REQUEST": aRequest,
	"X509 CRL":                aRevocationList,
	"PRIVATE KEY":             aPrivateKey,
	"EC PRIVATE KEY":          aPrivateKey,
	"RSA PRIVATE KEY":         aPrivateKey,
	"ENCRYPTED PRIVATE KEY":   anEncryptedKey,
}

// others are labels of what is not, and what to say of it.
var others = map[string]string{
	"PUBLIC KEY":          "is a public key, without a certificate",
	"RSA PUBLIC KEY":      "is a public key, without a certificate",
	"OPENSSH PRIVATE KEY": "is a key for SSH, which knows no certificates of this kind",
	"PKCS7":               "is PKCS#7, which is not read here: openssl pkcs7 -print_certs -in FILE prints its certificates",
	"CMS":                 "is CMS, which is not read here: openssl cms -cmsout -print prints it",
	"DSA PRIVATE KEY":     "is a DSA key, which TLS no longer knows",
}

// addBlock adds what a PEM block holds.
func (c *Content) addBlock(block *pem.Block, line int) {
	want, known := labels[block.Type]
	switch _, encrypted := block.Headers["DEK-Info"]; {
	case !known && strings.HasSuffix(block.Type, " PARAMETERS"):
		c.Skipped = append(c.Skipped, fmt.Sprintf("the %s on line %d are parameters of a key, which need not be kept", block.Type, line))
		return
	case !known:
		what, ok := others[block.Type]
		if !ok {
			what = "is of a kind that is not known here"
		}
		c.Skipped = append(c.Skipped, fmt.Sprintf("the %s on line %d %s", block.Type, line, what))
		return
	case encrypted && want == aPrivateKey:
		c.Keys = append(c.Keys, Key{Encrypted: true})
		return
	}
	der := block.Bytes
	if block.Type == "TRUSTED CERTIFICATE" { // OpenSSL's, with its own remarks after it
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(der, &first); err == nil {
			der = first.FullBytes
		}
	}
	err := c.add(want, der)
	if err == nil {
		return
	}
	if is := identify(der); is != "" && is != want {
		c.Problems = append(c.Problems, fmt.Sprintf("the %s on line %d holds %s", block.Type, line, is))
		return
	}
	c.Problems = append(c.Problems, fmt.Sprintf("the %s on line %d cannot be read: %s", block.Type, line, words(err)))
}
