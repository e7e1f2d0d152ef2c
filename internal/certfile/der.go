package certfile

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
)

// sequence is the first byte of all DER that is shown.
const sequence = 0x30

// maxKey bounds a private key, in bytes of DER: RSA with 16384 bits has 9300.
// Some checks of longer ones take far more than their share of time.
const maxKey = 10_000

// add adds der, which should be what want says.
func (c *Content) add(want string, der []byte) error {
	switch want {
	case aCertificate:
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		c.Certificates = append(c.Certificates, cert)
	case aRequest:
		req, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return err
		}
		c.Requests = append(c.Requests, req)
	case aRevocationList:
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		c.RevocationLists = append(c.RevocationLists, list)
	case aPrivateKey:
		key, err := parseKey(der)
		if err != nil {
			return err
		}
		c.Keys = append(c.Keys, Key{Private: key})
	case anEncryptedKey:
		if !isEncryptedKey(der) {
			return errors.New("it is no PKCS#8")
		}
		c.Keys = append(c.Keys, Key{Encrypted: true})
	default:
		return fmt.Errorf("%s is not shown", want)
	}
	return nil
}

// addDER adds what a file in DER holds.
func (c *Content) addDER(der []byte) error {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	switch {
	case err != nil:
		return errors.New("it begins like DER, but is damaged or cut off")
	case len(rest) > 0:
		return fmt.Errorf("it is DER, but %d bytes too many follow", len(rest))
	}
	is := identify(der)
	switch is {
	case "":
		if isPKCS7(outer.Bytes) {
			return errors.New("it " + others["PKCS7"])
		}
		return errors.New("it is DER, but neither a certificate nor a request, revocation list, private key or PKCS#12")
	case aPublicKey:
		return errors.New("it is a public key, without a certificate")
	}
	if err := c.add(is, der); err != nil {
		return fmt.Errorf("it is %s that cannot be read: %s", is, words(err))
	}
	return nil
}

// identify says what der is by its outline (RFC 5280, 2986, 5958, 8017, 5915),
// even where its inner parts are damaged; "" if it is nothing that is known.
func identify(der []byte) string {
	var signed struct {
		Inner     asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	var encrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	var public struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	var key struct {
		Version int
		Rest    asn1.RawValue
	}
	fits := func(into any) bool { rest, err := asn1.Unmarshal(der, into); return err == nil && len(rest) == 0 }
	switch {
	case fits(&signed):
		return identifySigned(signed.Inner.Bytes)
	case fits(&encrypted):
		return anEncryptedKey
	case fits(&public):
		return aPublicKey
	}
	if _, err := asn1.Unmarshal(der, &key); err == nil && !isPKCS12(der) && len(key.Rest.FullBytes) > 0 {
		return aPrivateKey
	}
	return ""
}

// identifySigned tells apart what is signed, by what its inner part begins
// with: all certificates of today have a version in a tag; a request has its
// version, its subject and its key; a revocation list its version, if any, and
// the algorithm.
func identifySigned(inner []byte) string {
	var first, second, third asn1.RawValue
	rest, err := asn1.Unmarshal(inner, &first)
	if err != nil {
		return ""
	}
	if first.Class == asn1.ClassContextSpecific {
		return aCertificate
	}
	if rest, err = asn1.Unmarshal(rest, &second); err != nil {
		return ""
	}
	if first.Tag == asn1.TagSequence {
		return aRevocationList
	}
	if _, err = asn1.Unmarshal(rest, &third); err != nil {
		return ""
	}
	var public struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(third.FullBytes, &public); err == nil {
		return aRequest
	}
	var algorithm pkix.AlgorithmIdentifier
	if _, err := asn1.Unmarshal(second.FullBytes, &algorithm); err != nil {
		return ""
	}
	// A certificate of version 1 has its serial number first, a revocation list
	// of version 2 the number 1: after both come algorithm and issuer, and then
	// a validity of two times or one time.
	rest, err = asn1.Unmarshal(rest, &third)
	var fourth asn1.RawValue
	if err == nil {
		_, err = asn1.Unmarshal(rest, &fourth)
	}
	if err == nil && fourth.Tag == asn1.TagSequence {
		return aCertificate
	}
	return aRevocationList
}

// isPKCS7 reports whether der begins as the inner part of PKCS#7 does.
func isPKCS7(der []byte) bool {
	var id asn1.ObjectIdentifier
	_, err := asn1.Unmarshal(der, &id)
	return err == nil && len(id) > 6 && id[:6].Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7})
}

func isEncryptedKey(der []byte) bool { return identify(der) == anEncryptedKey }

// parseKey parses a private key in any of the three forms there are.
func parseKey(der []byte) (crypto.Signer, error) {
	if len(der) > maxKey {
		return nil, errors.New("it is larger than any key in use")
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if ec, ecErr := x509.ParseECPrivateKey(der); ecErr == nil {
			return ec, nil
		}
		if rsa, rsaErr := x509.ParsePKCS1PrivateKey(der); rsaErr == nil {
			return rsa, nil
		}
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is a key that makes no signatures, so there are no certificates for it")
	}
	return signer, nil
}

// words returns an error of a library without the library's name.
func words(err error) string {
	text := err.Error()
	for _, prefix := range []string{"x509: ", "asn1: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
