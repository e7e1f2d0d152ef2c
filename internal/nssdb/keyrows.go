package nssdb

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// A private key is a row of nssPrivate in key4.db, with its secret attributes
// encrypted, and a row of nssPublic for its public half. NSS finds it by the
// CKA_ID that it shares with the certificate. The attributes are those that
// pk12util writes.

const (
	classPublicKey  uint32 = 0x2
	classPrivateKey uint32 = 0x3

	keyTypeRSA uint32 = 0x0
	keyTypeEC  uint32 = 0x3
)

const (
	attrKeyType          attribute = 0x100
	attrSensitive        attribute = 0x103
	attrEncrypt          attribute = 0x104
	attrDecrypt          attribute = 0x105
	attrWrap             attribute = 0x106
	attrUnwrap           attribute = 0x107
	attrSign             attribute = 0x108
	attrSignRecover      attribute = 0x109
	attrVerify           attribute = 0x10a
	attrVerifyRecover    attribute = 0x10b
	attrDerive           attribute = 0x10c
	attrStartDate        attribute = 0x110
	attrEndDate          attribute = 0x111
	attrModulus          attribute = 0x120
	attrPublicExponent   attribute = 0x122
	attrPrivateExponent  attribute = 0x123
	attrPrime1           attribute = 0x124
	attrPrime2           attribute = 0x125
	attrExponent1        attribute = 0x126
	attrExponent2        attribute = 0x127
	attrCoefficient      attribute = 0x128
	attrExtractable      attribute = 0x162
	attrLocal            attribute = 0x163
	attrNeverExtractable attribute = 0x164
	attrAlwaysSensitive  attribute = 0x165
	attrECParams         attribute = 0x180
	attrECPoint          attribute = 0x181
	attrNSSDB            attribute = 0xd5a0db00 // CKA_NSS_DB: the public value
)

// A keyKind is a kind of private key as the tables hold it.
type keyKind struct {
	number uint32
	public []attribute // signed in the row of the public half
	secret []attribute // encrypted, and signed as plain text
	plain  []attribute // signed, too, in the row of the private key
}

var (
	ecKind  = keyKind{number: keyTypeEC, secret: []attribute{attrValue}}
	rsaKind = keyKind{
		number: keyTypeRSA,
		public: []attribute{attrModulus, attrPublicExponent},
		secret: []attribute{attrPrivateExponent, attrPrime1, attrPrime2, attrExponent1, attrExponent2, attrCoefficient},
		plain:  []attribute{attrModulus, attrPublicExponent},
	}
)

func (k keyKind) signed() []attribute { return slices.Concat(k.secret, k.plain) }

// signedID is the id that the signature of an attribute covers in the row of a
// private key. That of a secret covers none.
func (k keyKind) signedID(id int64, a attribute) int64 {
	if slices.Contains(k.secret, a) {
		return 0
	}
	return id
}

// curves are those that NSS knows, with their DER object identifiers.
var curves = []struct {
	curve elliptic.Curve
	oid   []byte
}{
	{elliptic.P256(), []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}},
	{elliptic.P384(), []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}},
	{elliptic.P521(), []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23}},
}

// ErrKey says that NSS databases are not given such a key: only RSA keys with
// two primes and ECDSA keys on P-256, P-384 and P-521.
var ErrKey = errors.New("not a kind of key for an NSS database")

// encodeKey returns the rows of a private key and of its public half, both in
// plain text.
func encodeKey(key crypto.Signer, label string, subject, keyID []byte) (kind keyKind, private, public map[attribute][]byte, err error) {
	yes, no := []byte{1}, []byte{0}
	common := map[attribute][]byte{
		attrToken: yes, attrLabel: []byte(label), attrID: keyID, attrLocal: no, attrModifiable: yes,
		attrStartDate: empty, attrEndDate: empty,
	}
	private = map[attribute][]byte{
		attrClass: number(classPrivateKey), attrPrivate: yes, attrSubject: subject,
		attrSensitive: yes, attrSign: yes, attrSignRecover: yes,
		attrExtractable: yes, attrNeverExtractable: no, attrAlwaysSensitive: no,
	}
	public = map[attribute][]byte{
		attrClass: number(classPublicKey), attrPrivate: no, attrSubject: empty,
		attrVerify: yes,
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		kind = ecKind
		err = encodeEC(key, private, public)
	case *rsa.PrivateKey:
		kind = rsaKind
		err = encodeRSA(key, private, public)
	default:
		err = ErrKey
	}
	common[attrKeyType] = number(kind.number)
	for a, v := range common {
		private[a], public[a] = v, v
	}
	isRSA, isEC := []byte{0}, []byte{1}
	if kind.number == keyTypeRSA {
		isRSA, isEC = isEC, isRSA
	}
	private[attrDecrypt], private[attrUnwrap], private[attrDerive] = isRSA, isRSA, isEC
	public[attrEncrypt], public[attrWrap], public[attrVerifyRecover], public[attrDerive] = isRSA, isRSA, isRSA, isEC
	return kind, private, public, err
}

func encodeEC(key *ecdsa.PrivateKey, private, public map[attribute][]byte) error {
	for _, c := range curves {
		if c.curve != key.Curve {
			continue
		}
		value, err := key.Bytes()
		if err != nil {
			return fmt.Errorf("encode the key: %v", err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			return fmt.Errorf("encode the public key: %v", err)
		}
		wrapped, err := asn1.Marshal(point)
		if err != nil {
			return fmt.Errorf("encode the public key: %v", err)
		}
		private[attrValue], private[attrNSSDB] = value, point
		private[attrECParams], public[attrECParams] = c.oid, c.oid
		public[attrECPoint] = wrapped
		return nil
	}
	return ErrKey
}

func encodeRSA(key *rsa.PrivateKey, private, public map[attribute][]byte) error {
	if len(key.Primes) != 2 {
		return ErrKey
	}
	if err := key.Validate(); err != nil {
		return fmt.Errorf("the RSA key is damaged: %v", err)
	}
	key.Precompute()
	for _, row := range []map[attribute][]byte{private, public} {
		row[attrModulus], row[attrPublicExponent] = key.N.Bytes(), big.NewInt(int64(key.E)).Bytes()
	}
	private[attrNSSDB] = key.N.Bytes()
	private[attrPrivateExponent] = key.D.Bytes()
	private[attrPrime1], private[attrPrime2] = key.Primes[0].Bytes(), key.Primes[1].Bytes()
	private[attrExponent1], private[attrExponent2] = key.Precomputed.Dp.Bytes(), key.Precomputed.Dq.Bytes()
	private[attrCoefficient] = key.Precomputed.Qinv.Bytes()
	return nil
}

// keyAttributes are those of a private key that are read.
var keyAttributes = append([]attribute{attrClass, attrLabel, attrID, attrKeyType, attrECParams, attrValue}, rsaKind.signed()...)

// objection returns why NSS could not use the key of a row for a certificate,
// or "". The secrets of a database with a password are not looked at.
func (db *database) objection(ctx context.Context, row object, cert *x509.Certificate) (string, error) {
	kind := ecKind
	if bytes.Equal(row.attributes[attrKeyType], number(keyTypeRSA)) {
		kind = rsaKind
	}
	if db.keys.state != keysOpen {
		return "", nil
	}
	plain := map[attribute][]byte{}
	for _, a := range kind.plain {
		plain[a] = row.attributes[a]
	}
	for _, a := range kind.secret {
		value, ok := unseal(row.attributes[a], db.keys.password)
		if !ok {
			return "its private key cannot be decrypted", nil
		}
		plain[a] = value
	}
	for _, a := range kind.signed() {
		signature, err := db.signature(ctx, privateTable, row.id, a)
		if err != nil {
			return "", err
		}
		if !verify(signature, db.keys.password, kind.signedID(row.id, a), a, plain[a]) {
			return "its private key has a wrong signature", nil
		}
	}
	if !fits(kind, plain, cert.PublicKey) {
		return "the private key is that of another certificate", nil
	}
	return "", nil
}

// fits reports whether the attributes are those of the private key of public.
func fits(kind keyKind, plain map[attribute][]byte, public crypto.PublicKey) bool {
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		value := bytes.TrimLeft(plain[attrValue], "\x00") // older NSS writes it as a number
		size := (public.Params().N.BitLen() + 7) / 8
		if kind.number != keyTypeEC || len(value) > size {
			return false
		}
		key, err := ecdsa.ParseRawPrivateKey(public.Curve, append(make([]byte, size-len(value)), value...))
		return err == nil && key.PublicKey.Equal(public)
	case *rsa.PublicKey:
		if kind.number != keyTypeRSA {
			return false
		}
		int := func(a attribute) *big.Int { return new(big.Int).SetBytes(plain[a]) }
		exponent := int(attrPublicExponent)
		if !exponent.IsInt64() {
			return false
		}
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: int(attrModulus), E: public.E},
			D:         int(attrPrivateExponent),
			Primes:    []*big.Int{int(attrPrime1), int(attrPrime2)},
		}
		return exponent.Int64() == int64(public.E) && key.PublicKey.Equal(public) && key.Validate() == nil
	}
	return false
}
