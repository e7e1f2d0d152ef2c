package nssdb

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// NSS signs what decides about trust, and what private keys consist of, also in
// a database without a password: each such attribute has a PBMAC1 (PKCS #5,
// RFC 8018) in key4.db, under a key made from the password and a salt of the
// database (clients.md §7). What is secret of a private key is encrypted under
// such a key.

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBMAC1     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// maxIterations bounds the work a damaged database can ask for. NSS uses 1
// without a password and 10,000 with one.
const maxIterations = 1_000_000

// passwordCheck is what the row "password" of key4.db decrypts to with the
// right password.
const passwordCheck = "password-check"

// errScheme says that a value is not protected the way this package knows.
var errScheme = errors.New("not PBES2 or PBMAC1 with PBKDF2, HMAC-SHA256 and AES-256-CBC")

type algorithm struct {
	ID     asn1.ObjectIdentifier
	Params asn1.RawValue `asn1:"optional"`
}

// A protected value is the DER form of both PBES2 ciphertexts and PBMAC1 codes.
type protected struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params struct{ KDF, Scheme algorithm }
	}
	Value []byte
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int `asn1:"optional"`
	PRF        algorithm
}

// parseProtected parses der, which must be of the given kind, and returns the
// key that password yields for it, too.
func parseProtected(der []byte, kind asn1.ObjectIdentifier, password []byte) (p protected, key []byte, err error) {
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 {
		return p, nil, errScheme
	}
	kdf := p.Algorithm.Params.KDF
	if !p.Algorithm.ID.Equal(kind) || !kdf.ID.Equal(oidPBKDF2) {
		return p, nil, errScheme
	}
	var params pbkdf2Params
	if rest, err := asn1.Unmarshal(kdf.Params.FullBytes, &params); err != nil || len(rest) > 0 {
		return p, nil, errScheme
	}
	if !params.PRF.ID.Equal(oidHMACSHA256) || params.KeyLength != sha256.Size ||
		params.Iterations < 1 || params.Iterations > maxIterations {
		return p, nil, errScheme
	}
	key, err = pbkdf2.Key(sha256.New, string(password), params.Salt, params.Iterations, params.KeyLength)
	if err != nil {
		return p, nil, fmt.Errorf("derive a key: %v", err)
	}
	return p, key, nil
}

// newProtected is the inverse of parseProtected for one iteration and a fresh
// salt: it returns the frame to marshal and the key.
func newProtected(kind, scheme asn1.ObjectIdentifier, password []byte) (p protected, key []byte, err error) {
	salt := make([]byte, sha256.Size)
	rand.Read(salt)
	prf := algorithm{ID: oidHMACSHA256}
	params, err := asn1.Marshal(pbkdf2Params{salt, 1, sha256.Size, prf})
	if err != nil {
		return p, nil, fmt.Errorf("encode PBKDF2 parameters: %v", err)
	}
	p.Algorithm.ID = kind
	p.Algorithm.Params.KDF = algorithm{oidPBKDF2, asn1.RawValue{FullBytes: params}}
	p.Algorithm.Params.Scheme = algorithm{ID: scheme}
	key, err = pbkdf2.Key(sha256.New, string(password), salt, 1, sha256.Size)
	return p, key, err
}

// emptyPassword returns what NSS makes of the empty password in a database
// with this salt.
func emptyPassword(salt []byte) []byte {
	sum := sha1.Sum(salt)
	return sum[:]
}

// opens reports whether password decrypts der, the second item of the row
// "password". The error is errScheme if der is of another kind.
func opens(der, password []byte) (bool, error) {
	plain, err := decrypt(der, password)
	return err == nil && bytes.Equal(plain, padded([]byte(passwordCheck))), err
}

// unseal returns what seal was given. ok is false if der is of another kind, or
// not under this password.
func unseal(der, password []byte) (plain []byte, ok bool) {
	plain, err := decrypt(der, password)
	if err != nil {
		return nil, false
	}
	n := int(plain[len(plain)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, false
	}
	unpadded := plain[:len(plain)-n]
	return unpadded, bytes.Equal(padded(unpadded), plain)
}

// decrypt returns the plain text of der with its padding, at least one block.
// The error is errScheme if der is of another kind.
func decrypt(der, password []byte) ([]byte, error) {
	p, key, err := parseProtected(der, oidPBES2, password)
	if err != nil {
		return nil, err
	}
	// NSS uses the whole DER of a 14-byte octet string as the IV.
	iv := p.Algorithm.Params.Scheme.Params.FullBytes
	if !p.Algorithm.Params.Scheme.ID.Equal(oidAES256CBC) || len(iv) != aes.BlockSize ||
		len(p.Value) == 0 || len(p.Value)%aes.BlockSize != 0 {
		return nil, errScheme
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %v", err)
	}
	plain := make([]byte, len(p.Value))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, p.Value)
	return plain, nil
}

// padded returns plain with PKCS #7 padding: whole AES blocks.
func padded(plain []byte) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	return slices.Concat(plain, bytes.Repeat([]byte{byte(n)}, n))
}

// seal encrypts plain, so that whoever has password can unseal it.
func seal(plain, password []byte) ([]byte, error) {
	p, key, err := newProtected(oidPBES2, oidAES256CBC, password)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)
	iv[0], iv[1] = asn1.TagOctetString, aes.BlockSize-2
	p.Algorithm.Params.Scheme.Params = asn1.RawValue{FullBytes: iv}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %v", err)
	}
	p.Value = padded(plain)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(p.Value, p.Value)
	return asn1.Marshal(p)
}

// sign returns the signature of value, held by attribute a of object id.
func sign(password []byte, id int64, a attribute, value []byte) ([]byte, error) {
	p, key, err := newProtected(oidPBMAC1, oidHMACSHA256, password)
	if err != nil {
		return nil, err
	}
	p.Value = mac(key, id, a, value)
	return asn1.Marshal(p)
}

// verify reports whether der is a signature that sign could have returned,
// with any salt and number of iterations.
func verify(der, password []byte, id int64, a attribute, value []byte) bool {
	p, key, err := parseProtected(der, oidPBMAC1, password)
	return err == nil && p.Algorithm.Params.Scheme.ID.Equal(oidHMACSHA256) &&
		hmac.Equal(p.Value, mac(key, id, a, value))
}

func mac(key []byte, id int64, a attribute, value []byte) []byte {
	h := hmac.New(sha256.New, key)
	var head [8]byte
	binary.BigEndian.PutUint32(head[:], uint32(id))
	binary.BigEndian.PutUint32(head[4:], uint32(a))
	h.Write(head[:])
	h.Write(value)
	return h.Sum(nil)
}
