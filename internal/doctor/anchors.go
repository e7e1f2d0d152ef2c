package doctor

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// maxBundle bounds a file of certificates, in bytes. The usual ones have 220 KB.
const maxBundle = 16 << 20

var errNoCertificate = errors.New("holds no certificate")

// hashed is how OpenSSL names the files that it looks at in a folder.
var hashed = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// readRegular reads a file, but nothing that could block or go on for ever.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() > maxBundle:
		return nil, fmt.Errorf("%s is too large", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBundle))
}

// FilePool returns the certificates of a PEM file.
func FilePool(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if err := addFile(pool, path); err != nil {
		return nil, err
	}
	return pool, nil
}

func addFile(pool *x509.CertPool, path string) error {
	data, err := readRegular(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(data) {
		return fmt.Errorf("%s %w", path, errNoCertificate)
	}
	return nil
}

// addFolder adds the certificates of a folder: those in files named after
// their hash, as OpenSSL wants it, or all.
func addFolder(pool *x509.CertPool, dir string, all bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if all || hashed.MatchString(e.Name()) {
			found = addFile(pool, filepath.Join(dir, e.Name())) == nil || found
		}
	}
	if !found {
		return fmt.Errorf("%s %w", dir, errNoCertificate)
	}
	return nil
}

// addAny adds a file or a folder of hashed names.
func addAny(pool *x509.CertPool, path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return addFolder(pool, path, false)
	}
	return addFile(pool, path)
}

// keystoreHolds reports whether a key store of Java trusts root: a JKS, or a
// PKCS #12 file that does not encrypt certificates, as JDKs ship since 18.
func keystoreHolds(path string, root *x509.Certificate) (bool, error) {
	data, err := readRegular(path)
	if err != nil {
		return false, err
	}
	return bytes.Contains(data, root.Raw), nil
}

// SystemFiles and SystemDirs are where systems keep the roots they trust, best
// first: as one file, and as a folder.
func SystemFiles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt",                  // RHEL, Fedora
		"/etc/ssl/ca-bundle.pem",                            // SUSE
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL, Fedora
		"/etc/ssl/cert.pem",                                 // Alpine, macOS, BSD
	}
}

// SystemDirs is described at SystemFiles.
func SystemDirs() []string {
	return []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
}
