// Package certfile knows the files that certificates, keys, signing requests
// and revocation lists are kept in: PEM, DER and PKCS#12.
//
// [Parse] says what a file holds, whoever made it; the Encode functions write
// what other programs read. It judges nothing and touches no files.
package certfile

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// EncodeCertificates returns a chain as PEM, in the order given.
func EncodeCertificates(chain ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// EncodeKey returns a private key as PEM, in PKCS#8 and not encrypted.
func EncodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// MaxSize bounds a file, in bytes. The certificates of all public CAs have a
// fifth of it.
const MaxSize = 1 << 20
