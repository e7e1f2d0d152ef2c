// Package nssdb reads and writes the certificate databases of NSS in their
// SQLite form, which Chromium and Firefox use: the files cert9.db, key4.db and
// pkcs11.txt of one folder. It needs no certutil and can be used while a
// browser runs. Which folders there are, whose they are, and what to tell
// people is left to the callers.
//
// A certificate is one row of cert9.db. What it is trusted for is another row,
// of a classic kind that every NSS reads, or of the kind (PKCS #11 v3.2) that
// newer ones write and prefer. Either is void unless signed in key4.db.
package nssdb

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrPassword says that a password protects the database, so that nothing
	// can be signed. It can still be read.
	ErrPassword = errors.New("the database has a password")
	// ErrReadOnly says that a file or the folder cannot be written.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrLocked says that another process kept the database locked for longer
	// than LockWait.
	ErrLocked = errors.New("the database is locked by another process")
	// ErrNotDatabase says that a file is damaged or no database of NSS.
	ErrNotDatabase = errors.New("not a database of NSS")
	// ErrFormat says that the database protects its contents in a way that is
	// not known here: that of NSS before 3.49, say.
	ErrFormat = errors.New("the database is of an unknown, perhaps old, format")
	// ErrNickname says that another certificate bears the nickname.
	ErrNickname = errors.New("the nickname is taken by another certificate")
)

// An Entry is what a database says about one certificate.
type Entry struct {
	Nickname string // "" for none, or without a certificate

	// Trusted says that NSS takes the certificate for a root of TLS servers:
	// each trust row there says so, and has valid signatures.
	Trusted bool

	// Orphan says that there are trust rows but no certificate. certutil of
	// old leaves such rows behind when it deletes (clients.md §6), and they
	// count as soon as a server sends the certificate.
	Orphan bool

	// Unchecked says that signatures could not be checked. With a password,
	// NSS does without as well, as long as nobody gives it, and Trusted is
	// what the rows say; in an unknown format Trusted is false.
	Unchecked bool

	// Detail is why the certificate is not Trusted, or why that is Unchecked,
	// in a few words for people; else "".
	Detail string
}

// Find returns what the database in folder dir says about the certificate with
// this SHA-256 fingerprint. held says that the certificate itself is there; if
// not, the Entry can still be an Orphan.
//
// Errors match fs.ErrNotExist if there is no database, ErrNotDatabase or
// ErrLocked. Nothing is changed on disk, not even times. Like all functions of
// this package, Find may be called concurrently.
func Find(ctx context.Context, dir string, fingerprint [32]byte) (entry Entry, held bool, err error) {
	err = read(ctx, dir, func(db *database) error {
		s, err := db.settings(ctx, fingerprint, nil)
		if err != nil {
			return err
		}
		entry, held = s.entry(db.keys), len(s.certificates) > 0
		return nil
	})
	return entry, held, err
}

// Writable returns nil if Add can sign what it writes to the database in dir,
// and changes nothing. Errors match ErrPassword or ErrFormat, or are those of
// Find.
func Writable(ctx context.Context, dir string) error {
	return read(ctx, dir, func(db *database) error { return db.keys.unusable() })
}

// Roots returns the certificates that the database in dir has NSS trust as
// roots of TLS servers, in the sense of Entry.Trusted. Those that Go cannot
// parse are left out. Errors are those of Find.
func Roots(ctx context.Context, dir string) (roots []*x509.Certificate, err error) {
	err = read(ctx, dir, func(db *database) error {
		roots = nil
		certificates, err := db.objects(ctx, classCertificate, certificateAttributes)
		if err != nil {
			return err
		}
		trust, err := db.trustRows(ctx)
		if err != nil {
			return err
		}
		for _, c := range certificates {
			s := newSettings([]object{c}, trust, c.identity())
			if !s.entry(db.keys).Trusted {
				continue
			}
			if cert, err := x509.ParseCertificate(c.attributes[attrValue]); err == nil {
				roots = append(roots, cert)
			}
		}
		return nil
	})
	return roots, err
}

// Named returns the SHA-256 fingerprints of the certificates whose nicknames
// begin with prefix. Errors are those of Find.
func Named(ctx context.Context, dir, prefix string) (found map[string][32]byte, err error) {
	err = read(ctx, dir, func(db *database) error {
		certificates, err := db.objects(ctx, classCertificate, certificateAttributes)
		found = map[string][32]byte{}
		for _, c := range certificates {
			if name := string(c.attributes[attrLabel]); strings.HasPrefix(name, prefix) {
				found[name] = sha256.Sum256(c.attributes[attrValue])
			}
		}
		return err
	})
	return found, err
}

// Unused reports whether the database in dir is as Create, or certutil -N,
// leaves it: no certificate, no trust, no key, no password and no module but
// NSS's own. Errors are those of Find.
func Unused(ctx context.Context, dir string) (unused bool, err error) {
	err = read(ctx, dir, func(db *database) error {
		unused = db.keys.state == keysOpen || db.keys.state == keysUnset
		for _, table := range []string{"main.nssPublic", "keys.nssPrivate"} {
			if !unused {
				return nil
			}
			var any bool
			if err := db.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&any); err != nil {
				return fmt.Errorf("look into %s: %w", table, err)
			}
			unused = !any
		}
		return nil
	})
	if err != nil || !unused {
		return false, err
	}
	modules, err := os.ReadFile(filepath.Join(dir, moduleFile))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return strings.Count(string(modules), "library=") == 1, err
}

// Certificates returns the certificates whose nicknames begin with prefix, by
// nickname. Those that Go cannot parse are left out. Errors are those of Find.
func Certificates(ctx context.Context, dir, prefix string) (found map[string]*x509.Certificate, err error) {
	err = read(ctx, dir, func(db *database) error {
		certificates, err := db.objects(ctx, classCertificate, certificateAttributes)
		found = map[string]*x509.Certificate{}
		for _, c := range certificates {
			name := string(c.attributes[attrLabel])
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			if cert, err := x509.ParseCertificate(c.attributes[attrValue]); err == nil {
				found[name] = cert
			}
		}
		return err
	})
	return found, err
}
