package nssdb

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A NamedCertificate is a certificate and the nickname it gets.
type NamedCertificate struct {
	Nickname    string
	Certificate *x509.Certificate
}

// A ClientEntry is what a database says about a certificate that a browser may
// present.
type ClientEntry struct {
	Nickname string // of the certificate
	KeyName  string // of its private key; "" for none

	// Usable says that the private key is there, has valid signatures and
	// belongs to the certificate.
	Usable bool

	// Unchecked says that the key could not be read. With a password, Usable
	// only says that there is one; in an unknown format it is false.
	Unchecked bool

	// Detail is why the certificate is not Usable, or why that is Unchecked, in
	// a few words for people; else "".
	Detail string
}

// FindClient returns what the database in dir says about the certificate with
// this SHA-256 fingerprint and its private key. held says that the certificate
// is there. Errors are those of Find.
func FindClient(ctx context.Context, dir string, fingerprint [32]byte) (entry ClientEntry, held bool, err error) {
	err = read(ctx, dir, func(db *database) error {
		entry, held = ClientEntry{}, false
		c, err := db.client(ctx, fingerprint)
		if err != nil || len(c.certificates) == 0 {
			return err
		}
		held = true
		entry, err = db.clientEntry(ctx, c)
		return err
	})
	return entry, held, err
}

// AddClient makes the database in dir hold a certificate with its private key,
// RSA or ECDSA, and the certificates of chain, all without trust: what
// pk12util -i writes. What is there already stays as it is, with its nickname.
// A key that bears the nickname of leaf and cannot be used is replaced.
//
// Besides those of Find, errors match ErrKey, ErrPassword, ErrFormat,
// ErrReadOnly or ErrNickname. After any error nothing has changed.
func AddClient(ctx context.Context, dir string, leaf NamedCertificate, key crypto.Signer, chain ...NamedCertificate) error {
	if err := addClient(ctx, dir, leaf, key, chain); err != nil {
		return fmt.Errorf("add a client certificate to %s: %w", dir, err)
	}
	return nil
}

func addClient(ctx context.Context, dir string, leaf NamedCertificate, key crypto.Signer, chain []NamedCertificate) error {
	for _, c := range append([]NamedCertificate{leaf}, chain...) {
		if c.Nickname == "" || strings.ContainsRune(c.Nickname, 0) {
			return fmt.Errorf("nickname %q is empty or has a NUL", c.Nickname)
		}
	}
	public, ok := leaf.Certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return ErrKey
	}
	if !public.Equal(key.Public()) {
		return errors.New("the private key is that of another certificate")
	}
	done, missing := false, false
	err := read(ctx, dir, func(db *database) error {
		var err error
		missing = db.keys.state == keysMissing
		if done, err = db.clientComplete(ctx, leaf, chain); err != nil || done {
			return err
		}
		return db.keys.unusable()
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		return err
	}
	if done {
		return nil
	}
	if missing {
		if err := createKeys(ctx, dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return write(ctx, dir, func(db *database) error { return db.addClient(ctx, leaf, key, chain) })
}

// client is what a database holds of one certificate and its key.
type client struct {
	certificates []object // more than one only if someone erred
	cert         *x509.Certificate
	keyID        []byte
	private      []object // the keys of that id
}

func (db *database) client(ctx context.Context, fingerprint [32]byte) (c client, err error) {
	all, err := db.objects(ctx, classCertificate, certificateAttributes)
	if err != nil {
		return c, err
	}
	for _, o := range all {
		if sha256.Sum256(o.attributes[attrValue]) == fingerprint {
			c.certificates = append(c.certificates, o)
		}
	}
	if len(c.certificates) == 0 {
		return c, nil
	}
	if c.cert, err = x509.ParseCertificate(c.certificates[0].attributes[attrValue]); err != nil {
		return c, fmt.Errorf("read the certificate: %v", err)
	}
	if c.keyID, err = publicKeyID(c.cert); err != nil {
		return c, err
	}
	c.private, err = db.privateKeys(ctx, c.keyID)
	return c, err
}

// privateKeys returns the private keys with that id, all if it is nil.
func (db *database) privateKeys(ctx context.Context, keyID []byte) ([]object, error) {
	if db.keys.state == keysMissing {
		return nil, nil
	}
	known := slices.DeleteFunc(slices.Clone(keyAttributes), func(a attribute) bool { return !db.keyColumns[a.column()] })
	all, err := db.objectsIn(ctx, privateTable, classPrivateKey, known)
	return slices.DeleteFunc(all, func(o object) bool {
		return keyID != nil && !bytes.Equal(o.attributes[attrID], keyID)
	}), err
}

func (db *database) clientEntry(ctx context.Context, c client) (ClientEntry, error) {
	e := ClientEntry{
		Nickname: string(c.certificates[0].attributes[attrLabel]),
		Detail:   "its private key is missing",
	}
	for _, o := range c.private {
		objection, err := db.objection(ctx, o, c.cert)
		if err != nil {
			return e, err
		}
		e.KeyName, e.Detail = string(o.attributes[attrLabel]), objection
		if objection == "" {
			break
		}
	}
	switch {
	case e.Detail != "":
	case db.keys.state == keysOpen:
		e.Usable = true
	case db.keys.state == keysPassword:
		e.Usable, e.Unchecked, e.Detail = true, true, "the private key was not checked: the database has a password"
	default:
		e.Unchecked, e.Detail = true, "the private key was not checked: "+ErrFormat.Error()
	}
	return e, nil
}

// clientComplete reports whether addClient has nothing to do.
func (db *database) clientComplete(ctx context.Context, leaf NamedCertificate, chain []NamedCertificate) (bool, error) {
	c, err := db.client(ctx, sha256.Sum256(leaf.Certificate.Raw))
	if err != nil || len(c.certificates) == 0 {
		return false, err
	}
	if e, err := db.clientEntry(ctx, c); err != nil || !e.Usable {
		return false, err
	}
	for _, link := range chain {
		if held, err := db.holds(ctx, link.Certificate); err != nil || !held {
			return false, err
		}
	}
	return true, nil
}

func (db *database) holds(ctx context.Context, cert *x509.Certificate) (bool, error) {
	all, err := db.objects(ctx, classCertificate, certificateAttributes)
	return slices.ContainsFunc(all, func(o object) bool {
		return bytes.Equal(o.attributes[attrValue], cert.Raw)
	}), err
}

func (db *database) addClient(ctx context.Context, leaf NamedCertificate, key crypto.Signer, chain []NamedCertificate) error {
	if err := db.keys.unusable(); err != nil {
		return err
	}
	if db.keys.state == keysUnset {
		if err := db.setEmptyPassword(ctx); err != nil {
			return err
		}
	}
	keyID, err := publicKeyID(leaf.Certificate)
	if err != nil {
		return err
	}
	same, err := db.privateKeys(ctx, keyID)
	if err != nil {
		return err
	}
	kept := false
	for _, o := range same {
		objection, err := db.objection(ctx, o, leaf.Certificate)
		switch {
		case err != nil:
			return err
		case objection == "":
			kept = true
		case string(o.attributes[attrLabel]) != leaf.Nickname:
			return fmt.Errorf("%q: %s", o.attributes[attrLabel], objection)
		default:
			if err := db.remove(ctx, privateTable, o.id); err != nil {
				return err
			}
		}
	}
	if !kept {
		if err := db.addKey(ctx, leaf, key, keyID); err != nil {
			return err
		}
	}
	for _, c := range append([]NamedCertificate{leaf}, chain...) {
		held, err := db.holds(ctx, c.Certificate)
		if err == nil && !held {
			err = db.addCertificate(ctx, c.Nickname, c.Certificate)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addKey writes the rows of a private key and its public half.
func (db *database) addKey(ctx context.Context, leaf NamedCertificate, key crypto.Signer, keyID []byte) error {
	kind, private, public, err := encodeKey(key, leaf.Nickname, leaf.Certificate.RawSubject, keyID)
	if err != nil {
		return err
	}
	stored := make(map[attribute][]byte, len(private))
	for a, v := range private {
		if slices.Contains(kind.secret, a) {
			if v, err = seal(v, db.keys.password); err != nil {
				return fmt.Errorf("encrypt the key: %v", err)
			}
		}
		stored[a] = v
	}
	id, err := db.insert(ctx, privateTable, stored)
	if err != nil {
		return err
	}
	for _, a := range kind.signed() {
		if err := db.sign(ctx, privateTable, id, kind.signedID(id, a), a, private[a]); err != nil {
			return err
		}
	}
	// A public half may be left where somebody has deleted the private one.
	if err := db.removePublic(ctx, string(keyID), leaf.Nickname); err != nil {
		return err
	}
	if id, err = db.insert(ctx, publicTable, public); err != nil {
		return err
	}
	for _, a := range kind.public {
		if err := db.sign(ctx, publicTable, id, id, a, public[a]); err != nil {
			return err
		}
	}
	return nil
}

// removePublic deletes the public keys with that id and name.
func (db *database) removePublic(ctx context.Context, keyID, label string) error {
	all, err := db.publicKeys(ctx)
	if err != nil {
		return err
	}
	for _, o := range all {
		if string(o.attributes[attrID]) == keyID && string(o.attributes[attrLabel]) == label {
			if err := db.remove(ctx, publicTable, o.id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (db *database) publicKeys(ctx context.Context) ([]object, error) {
	return db.objects(ctx, classPublicKey, []attribute{attrLabel, attrID})
}
