package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxFile bounds what is read of any store's file. Debian's bundle has 220 KB.
const maxFile = 64 << 20

// readFile reads a file of at most maxFile bytes.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", file, maxFile)
	}
	return data, err
}

// readCertificates returns the fingerprint of each certificate in a PEM file.
func readCertificates(file string) ([]fingerprint, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return certificates(data), nil
}

// parseCertificate returns the first certificate in PEM text.
func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

// certificates returns the fingerprint of each certificate in PEM text. The
// DER is compared, not the text: line lengths and comments do not matter.
func certificates(text []byte) []fingerprint {
	var sums []fingerprint
	for {
		var block *pem.Block
		block, text = pem.Decode(bytes.TrimLeft(text, "\r\n"))
		if block == nil {
			return sums
		}
		if block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" {
			sums = append(sums, sha256.Sum256(block.Bytes))
		}
	}
}
