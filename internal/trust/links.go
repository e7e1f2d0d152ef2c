package trust

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// linkFile is the link to a's file that the tool makes beside the bundle.
func (s *system) linkFile(a anchor) string {
	return filepath.Join(s.links, s.prefix+a.name+".pem")
}

func (s *system) isOurLink(file string, a anchor) bool {
	target, err := os.Readlink(file)
	return err == nil && target == s.anchorFile(a)
}

// ourLinks returns the links that the tool made for a: one by name and one,
// named by a hash of the subject, to that. Left dangling they make later runs
// of openssl rehash complain.
func (s *system) ourLinks(a anchor) []string {
	if s.links == "" {
		return nil
	}
	targets := []string{s.anchorFile(a), s.linkFile(a), filepath.Base(s.linkFile(a))}
	entries, _ := os.ReadDir(s.links)
	var links []string
	for _, e := range entries {
		file := filepath.Join(s.links, e.Name())
		if target, err := os.Readlink(file); err == nil && slices.Contains(targets, target) {
			links = append(links, file)
		}
	}
	return links
}

// missingLink returns the path at which OpenSSL looks for cert in vain, ""
// where it finds it: HHHHHHHH.0, or .1 and so on where names share a hash.
func (s *system) missingLink(cert *x509.Certificate, sum fingerprint) string {
	hash, err := subjectHash(cert.RawSubject)
	if err != nil {
		return "" // what Go has parsed is a name
	}
	for n := 0; ; n++ {
		file := filepath.Join(s.links, fmt.Sprintf("%s.%d", hash, n))
		in, err := readCertificates(file)
		if err != nil {
			return file
		}
		if slices.Contains(in, sum) {
			return ""
		}
	}
}
