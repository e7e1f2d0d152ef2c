package nssdb

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// maxID is the largest id that NSS gives to an object.
const maxID = 0x3fffffff

// Add makes the database in dir hold cert, under nickname if it is new, and
// trust it as a root for TLS servers: what certutil -A -t C,, writes. It mends
// missing, other and wrongly signed trust rows of cert, and changes nothing if
// all is well.
//
// Besides those of Find, errors match ErrPassword, ErrFormat, ErrReadOnly or
// ErrNickname. After any error nothing has changed.
func Add(ctx context.Context, dir, nickname string, cert *x509.Certificate) error {
	if nickname == "" || strings.ContainsRune(nickname, 0) {
		return fmt.Errorf("add a certificate to %s: nickname %q is empty or has a NUL", dir, nickname)
	}
	done := false
	missing := false
	err := read(ctx, dir, func(db *database) error {
		s, err := db.settings(ctx, sha256.Sum256(cert.Raw), cert)
		if err != nil {
			return err
		}
		done, missing = s.complete(db.keys), db.keys.state == keysMissing
		if done {
			return nil
		}
		return db.keys.unusable()
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		return fmt.Errorf("add a certificate to %s: %w", dir, err)
	}
	if done {
		return nil
	}
	if missing {
		if err := createKeys(ctx, dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	err = write(ctx, dir, func(db *database) error { return db.add(ctx, nickname, cert) })
	if err != nil {
		return fmt.Errorf("add a certificate to %s: %w", dir, err)
	}
	return nil
}

// complete reports whether Add has nothing to do.
func (s *settings) complete(k keys) bool {
	return len(s.certificates) == 1 && s.entry(k).Trusted &&
		slices.ContainsFunc(s.trust, func(row trustRow) bool { return row.class == classNSSTrust })
}

func (db *database) add(ctx context.Context, nickname string, cert *x509.Certificate) error {
	if err := db.keys.unusable(); err != nil {
		return err
	}
	s, err := db.settings(ctx, sha256.Sum256(cert.Raw), cert)
	if err != nil {
		return err
	}
	if s.complete(db.keys) {
		return nil
	}
	if db.keys.state == keysUnset {
		if err := db.setEmptyPassword(ctx); err != nil {
			return err
		}
	}
	if len(s.certificates) == 0 {
		if err := db.addCertificate(ctx, nickname, cert); err != nil {
			return err
		}
	}
	kept := false
	for _, row := range s.trust {
		if !s.about(row) {
			return errors.New("there are trust settings for another certificate with the same issuer and serial number")
		}
		if s.objection(row, db.keys) != "" {
			if err := db.remove(ctx, publicTable, row.id); err != nil {
				return err
			}
			continue
		}
		kept = kept || row.class == classNSSTrust
	}
	if kept {
		return nil
	}
	return db.addTrust(ctx, cert)
}

func (db *database) addCertificate(ctx context.Context, nickname string, cert *x509.Certificate) error {
	id, err := identityOf(cert)
	if err != nil {
		return err
	}
	all, err := db.objects(ctx, classCertificate, certificateAttributes)
	if err != nil {
		return err
	}
	for _, o := range all {
		switch {
		case string(o.attributes[attrLabel]) == nickname:
			return fmt.Errorf("%q: %w", nickname, ErrNickname)
		case o.identity() == id:
			return errors.New("there is another certificate with the same issuer and serial number")
		}
	}
	keyID, err := publicKeyID(cert)
	if err != nil {
		return err
	}
	_, err = db.insert(ctx, publicTable, map[attribute][]byte{
		attrClass:      number(classCertificate),
		attrToken:      {1},
		attrPrivate:    {0},
		attrLabel:      []byte(nickname),
		attrValue:      cert.Raw,
		attrType:       number(0), // X.509
		attrIssuer:     []byte(id.issuer),
		attrSerial:     []byte(id.serial),
		attrSubject:    cert.RawSubject,
		attrID:         keyID,
		attrModifiable: {1},
	})
	return err
}

// addTrust writes a classic trust row, with the values of certutil.
func (db *database) addTrust(ctx context.Context, cert *x509.Certificate) error {
	const (
		mustVerify     = 0xce534353
		validDelegator = 0xce53435b
	)
	identity, err := identityOf(cert)
	if err != nil {
		return err
	}
	md5sum := md5.Sum(cert.Raw)
	row := map[attribute][]byte{
		attrClass:          number(classNSSTrust),
		attrToken:          {1},
		attrPrivate:        {0},
		attrLabel:          empty,
		attrIssuer:         []byte(identity.issuer),
		attrSerial:         []byte(identity.serial),
		attrModifiable:     {1},
		attrNSSTrustServer: number(classic.anchor),
		attrNSSTrustClient: number(validDelegator),
		attrNSSTrustCode:   number(mustVerify),
		attrNSSTrustEmail:  number(mustVerify),
		attrNSSStepUp:      {0},
		attrNSSSHA1:        classic.sum(cert.Raw),
		attrNSSMD5:         md5sum[:],
	}
	id, err := db.insert(ctx, publicTable, row)
	if err != nil {
		return err
	}
	for _, a := range append(slices.Clone(classic.signed), attrNSSMD5) {
		if err := db.sign(ctx, publicTable, id, id, a, row[a]); err != nil {
			return err
		}
	}
	return nil
}

// sign writes the signature of an attribute of object id, which covers that id
// or another.
func (db *database) sign(ctx context.Context, in table, id, covered int64, a attribute, value []byte) error {
	der, err := sign(db.keys.password, covered, a, value)
	if err != nil {
		return fmt.Errorf("sign an object: %v", err)
	}
	_, err = db.conn.ExecContext(ctx, "INSERT INTO keys.metaData (id, item1) VALUES (?, ?)", in.signatureID(id, a), der)
	if err != nil {
		return fmt.Errorf("write a signature: %w", err)
	}
	return nil
}

// insert writes an object under a free id.
func (db *database) insert(ctx context.Context, into table, attributes map[attribute][]byte) (id int64, err error) {
	for used := true; used; {
		id = 1 + rand.Int64N(maxID-1)
		// Signatures of an object that is gone would become those of this one.
		err := db.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+into.name+` WHERE id = ?1)
			OR EXISTS (SELECT 1 FROM keys.metaData WHERE id >= ?2 AND id < ?2 || 'g')`,
			id, into.signaturePrefix(id)).Scan(&used)
		if err != nil {
			return 0, fmt.Errorf("find a free id: %w", err)
		}
	}
	columns, values := []string{"id"}, []any{id}
	for _, a := range slices.Sorted(maps.Keys(attributes)) {
		columns, values = append(columns, a.column()), append(values, attributes[a])
	}
	_, err = db.conn.ExecContext(ctx, "INSERT INTO "+into.name+" ("+strings.Join(columns, ", ")+") VALUES (?"+
		strings.Repeat(", ?", len(values)-1)+")", values...)
	if err != nil {
		return 0, fmt.Errorf("write an object: %w", err)
	}
	return id, nil
}

// Delete takes the certificate with this SHA-256 fingerprint out of the
// database in dir, and its trust rows of both generations with all signatures.
// cert may be nil; it is needed only to find a classic trust row without its
// certificate. removed is false if there was nothing, and then nothing is
// written. No password is needed. After any error nothing has changed.
//
// Besides those of Find, errors match ErrReadOnly.
func Delete(ctx context.Context, dir string, fingerprint [32]byte, cert *x509.Certificate) (removed bool, err error) {
	if cert != nil && sha256.Sum256(cert.Raw) != fingerprint {
		return false, errors.New("delete a certificate: the fingerprint is that of another")
	}
	var ids []int64
	find := func(db *database) error {
		s, err := db.settings(ctx, fingerprint, cert)
		ids = nil
		for _, o := range s.certificates {
			ids = append(ids, o.id)
		}
		for _, row := range s.trust {
			if s.about(row) {
				ids = append(ids, row.id)
			}
		}
		return err
	}
	err = read(ctx, dir, find)
	if err == nil && len(ids) > 0 || errors.Is(err, errInterrupted) {
		err = write(ctx, dir, func(db *database) error {
			if err := find(db); err != nil {
				return err
			}
			for _, id := range ids {
				if err := db.remove(ctx, publicTable, id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("delete a certificate from %s: %w", dir, err)
	}
	return len(ids) > 0, nil
}

// remove deletes an object with its signatures.
func (db *database) remove(ctx context.Context, from table, id int64) error {
	if _, err := db.conn.ExecContext(ctx, "DELETE FROM "+from.name+" WHERE id = ?", id); err != nil {
		return fmt.Errorf("delete an object: %w", err)
	}
	if db.keys.state == keysMissing {
		return nil
	}
	_, err := db.conn.ExecContext(ctx, "DELETE FROM keys.metaData WHERE id >= ?1 AND id < ?1 || 'g'", from.signaturePrefix(id))
	if err != nil {
		return fmt.Errorf("delete signatures: %w", err)
	}
	return nil
}

// publicKeyID returns what NSS gives a certificate as CKA_ID: the SHA-1 of an
// RSA modulus or of an elliptic curve's point.
func publicKeyID(cert *x509.Certificate) ([]byte, error) {
	var public []byte
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		public = key.N.Bytes()
	} else {
		var info struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &info); err != nil {
			return nil, fmt.Errorf("read the public key: %v", err)
		}
		public = bytes.Clone(info.Key.Bytes)
	}
	sum := sha1.Sum(public)
	return sum[:], nil
}
