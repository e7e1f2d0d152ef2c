package issuer

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/youmark/pkcs8"

	"devproxy/internal/atomicfile"
	"devproxy/internal/folderlock"
)

// How a key with a passphrase is encrypted: PBES2 (RFC 8018) with scrypt
// (RFC 7914) and AES-256-CBC.
//
// scrypt rather than PBKDF2, because each guess costs memory as well, which is
// what graphics cards are short of. The cost is what OpenSSL itself writes, and
// the highest that it opens unasked: it gives scrypt 32 MiB, and this needs 16.
const (
	scryptCost      = 1 << 14
	scryptBlockSize = 8
	scryptLanes     = 1
	saltSize        = 16
	// sealedSize is the size of a P-256 key in PKCS #8, 138 bytes, with padding.
	sealedSize = 144
)

// ErrPassphrase says that a passphrase is not that of the CA's key.
var ErrPassphrase = errors.New("the passphrase does not open the key of the CA")

// errLocked says that the key of a CA is needed, and that Unlock was not called.
var errLocked = errors.New("the key of the CA has a passphrase, and was not unlocked")

// HasPassphrase reports whether the key is encrypted where it is kept.
func (ca *CA) HasPassphrase() bool { return ca.sealed != nil }

// Locked reports whether the key is encrypted and was not unlocked: such a CA
// can be looked at and signs nothing.
func (ca *CA) Locked() bool { return ca.key == nil }

// Unlock returns the CA with its key, which takes some 50 ms. The
// error matches ErrPassphrase if the passphrase is the wrong one. A CA that is
// not locked is returned as it is.
func (ca *CA) Unlock(passphrase []byte) (*CA, error) {
	if !ca.Locked() {
		return ca, nil
	}
	if len(passphrase) == 0 { // which would ask for a key that is not encrypted
		return nil, ErrPassphrase
	}
	if err := checkSealed(ca.sealed); err != nil {
		return nil, err
	}
	parsed, _, err := pkcs8.ParsePrivateKey(ca.sealed, passphrase)
	if err != nil {
		return nil, ErrPassphrase // the cause says nothing more
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errNotP256
	}
	open := *ca
	open.key, open.passphrase = key, bytes.Clone(passphrase)
	if err := open.checkKeys(); err != nil {
		return nil, err
	}
	return &open, nil
}

// UnlockAs is Unlock with the passphrase that has unlocked other, an earlier CA.
func (ca *CA) UnlockAs(other *CA) (*CA, error) { return ca.Unlock(other.passphrase) }

// seal returns ca, which must not be locked, with its key encrypted, or not if
// passphrase is empty.
func (ca *CA) seal(passphrase []byte) (*CA, error) {
	next := *ca
	next.sealed, next.passphrase = nil, nil
	if len(passphrase) == 0 {
		return &next, nil
	}
	sealed, err := pkcs8.MarshalPrivateKey(ca.key, passphrase, &pkcs8.Opts{
		Cipher: pkcs8.AES256CBC,
		KDFOpts: pkcs8.ScryptOpts{
			SaltSize:                 saltSize,
			CostParameter:            scryptCost,
			BlockSize:                scryptBlockSize,
			ParallelizationParameter: scryptLanes,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encrypt the key: %v", err)
	}
	next.sealed, next.passphrase = sealed, bytes.Clone(passphrase)
	return &next, nil
}

// sealedKey is an EncryptedPrivateKeyInfo (RFC 5958, section 3) of our kind.
type sealedKey struct {
	Scheme struct {
		ID     asn1.ObjectIdentifier
		Params struct {
			Derivation struct {
				ID     asn1.ObjectIdentifier
				Params asn1.RawValue
			}
			Cipher struct {
				ID asn1.ObjectIdentifier
				IV []byte
			}
		}
	}
	Data []byte
}

type scryptParams struct {
	Salt                   []byte
	Cost, BlockSize, Lanes int
}

// checkSealed fails unless der is as seal writes it. Whatever a damaged file
// says, nothing is derived with other parameters: they could ask for all the
// memory there is, or for years.
func checkSealed(der []byte) error {
	var k sealedKey
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 {
		return errors.New("the encrypted key is damaged")
	}
	p := k.Scheme.Params
	if !k.Scheme.ID.Equal([]int{1, 2, 840, 113549, 1, 5, 13}) || // PBES2
		!p.Derivation.ID.Equal([]int{1, 3, 6, 1, 4, 1, 11591, 4, 11}) || // scrypt
		!p.Cipher.ID.Equal([]int{2, 16, 840, 1, 101, 3, 4, 1, 42}) { // AES-256-CBC
		return errors.New("the key is encrypted in an unknown way, want scrypt and AES-256-CBC")
	}
	var s scryptParams
	if rest, err := asn1.Unmarshal(p.Derivation.Params.FullBytes, &s); err != nil || len(rest) > 0 {
		return errors.New("the key is encrypted with unknown parameters of scrypt")
	}
	if s.Cost != scryptCost || s.BlockSize != scryptBlockSize || s.Lanes != scryptLanes {
		return fmt.Errorf("the key is encrypted with scrypt N=%d, r=%d, p=%d, want N=%d, r=%d, p=%d",
			s.Cost, s.BlockSize, s.Lanes, scryptCost, scryptBlockSize, scryptLanes)
	}
	if len(s.Salt) != saltSize || len(p.Cipher.IV) != aes.BlockSize || len(k.Data) != sealedSize {
		return errors.New("the encrypted key is damaged: a part has the wrong length")
	}
	params, err := asn1.Marshal(s)
	if err == nil {
		k.Scheme.Params.Derivation.Params = asn1.RawValue{FullBytes: params}
		params, err = asn1.Marshal(k)
	}
	if err != nil || !bytes.Equal(params, der) {
		return errors.New("the encrypted key is encoded in an unknown way")
	}
	return nil
}

// SetPassphrase encrypts the key in dir with passphrase or, if that is empty,
// keeps it without one. The CA stays the same, and so does what others have
// loaded of it. ca is what was loaded from dir, unlocked: if something else is
// there by now, nothing is changed. A rotation is waited for until ctx ends;
// waiting, unless it is nil, is called once before that. The error is an
// *Error, or that of ctx.
//
// A process killed in between leaves the file as it was or as it is to be.
func SetPassphrase(ctx context.Context, dir string, ca *CA, passphrase []byte, waiting func()) error {
	s, err := newStore(dir)
	if err != nil {
		return err
	}
	return s.setPassphrase(ctx, ca, passphrase, waiting)
}

func (s store) setPassphrase(ctx context.Context, ca *CA, passphrase []byte, waiting func()) error {
	path := Path(s.dir)
	if ca.Locked() {
		return &Error{Path: path, Problem: errLocked.Error(), Err: errLocked}
	}
	if err := checkFolder(s.dir); err != nil {
		return err
	}
	// What a killed process has left may hold the key without a passphrase.
	_ = atomicfile.Sweep(s.dir)
	unlock, err := folderlock.Lock(ctx, s.dir, waiting)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return systemError(s.dir, "open the folder", err)
	}
	defer unlock()
	if err := s.unchanged(ca); err != nil {
		return err
	}
	next, err := ca.seal(passphrase)
	if err != nil {
		return &Error{Path: path, Problem: err.Error()}
	}
	data, back, err := next.encodeChecked()
	if err == nil {
		_, err = back.Unlock(passphrase) // or nobody could, from now on
	}
	if err != nil {
		return &Error{Path: path, Problem: err.Error()}
	}
	if err := s.replace(path, data, 0o600); err != nil {
		return systemError(path, "write", err)
	}
	return nil
}

// unchanged fails unless ca.pem holds ca and no rotation is half done: the
// root of that may be trusted, and its key lies in a file of its own.
func (s store) unchanged(ca *CA) error {
	path := Path(s.dir)
	if _, err := os.Lstat(filepath.Join(s.dir, pendingFile)); !errors.Is(err, fs.ErrNotExist) {
		return &Error{
			Path:    filepath.Join(s.dir, pendingFile),
			Problem: "a rotation was stopped before its end, and left a key here",
			Hint:    "bring it to its end first",
			Rotate:  true,
		}
	}
	have, err := readPrivate(path)
	if err != nil {
		return err
	}
	want, err := ca.encode()
	if err != nil {
		return &Error{Path: path, Problem: err.Error()}
	}
	if !bytes.Equal(have, want) {
		return &Error{Path: path, Problem: "another process has changed it meanwhile: nothing was done", Hint: "try again"}
	}
	return nil
}
