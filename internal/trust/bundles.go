package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
)

// A bundle is the certificates of a file in which a store keeps what its
// clients take for trust anchors, in DER form.
type bundle [][]byte

// readBundle reads a PEM file; one that is not there holds nothing.
func readBundle(file string) (bundle, error) {
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var b bundle
	for {
		var block *pem.Block
		block, text = pem.Decode(bytes.TrimLeft(text, "\r\n"))
		if block == nil {
			return b, nil
		}
		if block.Type == "CERTIFICATE" {
			b = append(b, block.Bytes)
		}
	}
}

// find returns the certificate with that fingerprint, nil if there is none.
func (b bundle) find(sum fingerprint) []byte {
	for _, der := range b {
		if sha256.Sum256(der) == sum {
			return der
		}
	}
	return nil
}

// pool leaves out what Go cannot parse: no client that Go stands in for would
// build a chain to it.
func (b bundle) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, der := range b {
		if cert, err := x509.ParseCertificate(der); err == nil {
			pool.AddCert(cert)
		}
	}
	return pool
}
