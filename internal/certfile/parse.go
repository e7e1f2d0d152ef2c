package certfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
)

// Content is what a file holds, in the order of the file.
type Content struct {
	Certificates    []*x509.Certificate
	Keys            []Key
	Requests        []*x509.CertificateRequest
	RevocationLists []*x509.RevocationList

	// PKCS12 says that it is a PKCS#12 file, which [DecodePKCS12] opens: all
	// else is empty then.
	PKCS12 bool

	Problems []string // parts that are damaged; one sentence each, lower case, no full stop
	Skipped  []string // parts that are of another kind; the same
}

// A Key is a private key.
type Key struct {
	Private   crypto.Signer // nil if encrypted
	Encrypted bool          // with a passphrase, which is not asked for
}

// maxMentions is how many problems and skipped parts are told each.
const maxMentions = 8

// Parse says what a file holds: PEM blocks with any text around them, as
// openssl x509 -text and s_client print them, one piece of DER, or PKCS#12. A
// byte order mark is passed over.
//
// It fails if there is nothing to be shown of the file, and says then what the
// file is instead, or what is wrong with it. The work is bounded; nothing is
// verified.
func Parse(data []byte) (*Content, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it is larger than %d KiB, which no file of certificates is", MaxSize>>10)
	}
	text, err := utf8Text(data)
	if err != nil {
		return nil, err
	}
	c := &Content{}
	switch {
	case len(text) == 0:
		return nil, errors.New("it is empty")
	case isIndefinite(data), data[0] == sequence && isPKCS12(data):
		c.PKCS12 = true
	case data[0] == sequence && !bytes.Contains(data, []byte("-----BEGIN ")): // which text may begin with, a zero
		if err := c.addDER(data); err != nil {
			return nil, err
		}
	default:
		c.addPEM(text)
	}
	if c.empty() {
		return nil, c.nothing(text)
	}
	c.Problems, c.Skipped = fewer(c.Problems), fewer(c.Skipped)
	return c, nil
}

func (c *Content) empty() bool {
	return !c.PKCS12 && len(c.Certificates)+len(c.Keys)+len(c.Requests)+len(c.RevocationLists) == 0
}

// nothing says why there is nothing to be shown.
func (c *Content) nothing(text []byte) error {
	switch {
	case len(c.Problems) > 0:
		return errors.New(c.Problems[0])
	case len(c.Skipped) > 0:
		return errors.New(c.Skipped[0])
	}
	return errors.New(guess(text))
}

// fewer returns the first of many, and how many more there are.
func fewer(all []string) []string {
	more := len(all) - maxMentions
	if more <= 0 {
		return all
	}
	return append(all[:maxMentions:maxMentions], fmt.Sprintf("and %d more like these", more))
}

// Fits reports whether a private key belongs to a public one.
func Fits(public crypto.PublicKey, key crypto.PrivateKey) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	p, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(signer.Public())
}
