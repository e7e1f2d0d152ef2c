package clientenv

import (
	"errors"
	"io/fs"
)

// systemFiles are where systems keep all their roots in one file.
var systemFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Gentoo, NixOS
	"/etc/pki/tls/certs/ca-bundle.crt",                  // RHEL, Fedora up to 42
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL, Fedora
	"/etc/ca-certificates/extracted/tls-ca-bundle.pem",  // Arch
	"/var/lib/ca-certificates/ca-bundle.pem",            // SUSE
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/ssl/certs/ca-bundle.crt",                      // NixOS
	"/etc/ssl/cert.pem",                                 // Alpine, macOS, OpenBSD, FreeBSD
	"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
	"/usr/local/share/certs/ca-root-nss.crt",            // FreeBSD
	"/etc/openssl/certs/ca-certificates.crt",            // NetBSD
}

// systemRoots are what the system trusts, or why that is not known.
type systemRoots struct {
	path  string
	certs [][]byte
	err   error
}

// findSystem reads the first of the files that is there.
func (b Bundles) findSystem() systemRoots {
	places := b.System
	if places == nil {
		places = systemFiles
	}
	failed := errors.New("there is no file with the system's root certificates here")
	for _, path := range places {
		certs, err := readCertificates(path)
		if err == nil {
			return systemRoots{path: path, certs: certs}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			failed = err
		}
	}
	return systemRoots{err: failed}
}
