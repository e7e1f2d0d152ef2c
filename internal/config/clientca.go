package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
)

// clientCAHint says what client_ca is.
const clientCAHint = "name a file with the certificate, in PEM, of the CA that signs the clients' certificates; without client_ca it is devproxy's own"

// anchors returns where a client_ca is, and its certificates. What is likely to
// surprise about them is a warning.
func (p *parser) anchors(file string) (path string, certs []*x509.Certificate, warning, e *Error) {
	if file == "" {
		return "", nil, nil, fault(clientCAHint, "no file")
	}
	if path, e = parseFile(file, p.folder); e != nil {
		return "", nil, nil, e
	}
	data, e := readSmall(path, file)
	if e != nil {
		return "", nil, nil, e
	}
	certs, warning, e = parseAnchors(data, file)
	return path, certs, warning, e
}

// readSmall reads a regular file of up to maxSize bytes, which messages call
// shown.
func readSmall(path, shown string) ([]byte, *Error) {
	unreadable := func(err error) *Error {
		return fault(clientCAHint, "the file %q cannot be read: %v", shown, pathError(err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fault(clientCAHint, "%q is not a regular file", shown)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(data) > maxSize {
		return nil, fault(clientCAHint, "the file %q is larger than 1 MiB", shown)
	}
	return data, nil
}

// parseAnchors returns the certificates in a PEM file, each once. One that is
// no CA is fine: it then stands for itself, as in Python's
// load_verify_locations("client.pem").
func parseAnchors(data []byte, shown string) (certs []*x509.Certificate, warning, e *Error) {
	var kinds []string // of other blocks
	n := 0
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			kinds = append(kinds, block.Type)
			continue
		}
		n++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fault(clientCAHint, "certificate %d in %q is malformed: %v", n, shown, err)
		}
		if !contains(certs, cert) {
			certs = append(certs, cert)
		}
		if cert.Version < 3 && warning == nil {
			warning = fault("make the CA's certificate with basicConstraints = CA:true, as openssl req -x509 does",
				"certificate %d in %q is of version %d, which cannot say that it is a CA's: it is accepted itself, but none that it has signed", n, shown, cert.Version)
		}
	}
	hasKey := false
	for _, kind := range kinds {
		hasKey = hasKey || strings.HasSuffix(kind, "PRIVATE KEY")
	}
	switch {
	case len(certs) > 0 && hasKey:
		return certs, fault("keep the key in a file of its own, and only the certificate here",
			"the file %q holds a private key, which is not needed to recognise certificates", shown), nil
	case len(certs) > 0:
		return certs, warning, nil
	case hasKey:
		e = fault("name the file with the certificate that belongs to the key", "the file %q holds a private key but no certificate", shown)
	case len(kinds) > 0:
		e = fault(clientCAHint, "the file %q holds no certificate but %q", shown, kinds[0])
	case bytes.HasPrefix(data, []byte{0x30}):
		e = fault(fmt.Sprintf("convert it: openssl x509 -inform DER -in %s -out ca.pem", shown), "the file %q is not in PEM", shown)
	default:
		e = fault(clientCAHint, "there is no certificate in the file %q", shown)
	}
	return nil, nil, e
}

func contains(certs []*x509.Certificate, cert *x509.Certificate) bool {
	for _, other := range certs {
		if other.Equal(cert) {
			return true
		}
	}
	return false
}
