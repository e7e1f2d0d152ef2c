package clientenv

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds a file of certificates. Those of the systems have about
// 250 KB.
const maxFile = 8 << 20

// readCertificates returns the certificates of a PEM file, in DER. Other
// blocks, private keys above all, are not looked at. The error names path.
func readCertificates(path string) ([][]byte, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return certs, nil
}

// readFile reads a regular file that is not too large: opening a pipe would
// wait for its writer, or take what was meant for the client.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, readError(path, err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder, which cannot be joined to a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, readError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return data, nil
}

// readError does not repeat the path as the messages of package os do.
func readError(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("read %s: %w", path, err)
}

// parseCertificates returns the certificates among the PEM blocks of data. A
// damaged one is an error: leaving it out, as package pem does, would lose it
// in silence, and copying it would end a client's reading there.
func parseCertificates(data []byte) ([][]byte, error) {
	var certs [][]byte
	rest := data
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "CERTIFICATE":
			if !isCertificate(block.Bytes) {
				return nil, fmt.Errorf("is damaged: its certificate %d cannot be read", len(certs)+1)
			}
			certs = append(certs, block.Bytes)
		case "TRUSTED CERTIFICATE", "X509 CERTIFICATE": // of OpenSSL alone, with conditions that a bundle cannot carry
			return nil, fmt.Errorf("holds a %q, which cannot be joined to a bundle", block.Type)
		}
	}
	if begun := bytes.Count(data, []byte("-----BEGIN CERTIFICATE-----")); begun != len(certs) {
		return nil, fmt.Errorf("is damaged: %d certificates begin and %d can be read", begun, len(certs))
	}
	return certs, nil
}

// isCertificate looks at the outer shape only: clients accept certificates
// that package x509 refuses, such as old roots with a negative serial number.
func isCertificate(der []byte) bool {
	var outer struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &outer)
	return err == nil && len(rest) == 0
}
