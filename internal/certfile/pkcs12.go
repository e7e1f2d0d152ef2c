package certfile

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// ErrPassword says that a PKCS#12 file has another password.
var ErrPassword = errors.New("the password is wrong")

// iterations slow down those who guess passwords. Windows takes 600,000 in one
// file at the most; three keys are derived from each.
const iterations = 100_000

// EncodePKCS12 returns a private key, its certificate and those of its issuers
// as a PKCS#12 file: PBES2 with AES-256 and PBKDF2, and a MAC with SHA-256,
// which OpenSSL 1.1.1, Java 12, NSS 3.87 and Windows Server 2019 and all later
// ones open. The password is of ASCII letters and signs, since Java takes no
// others. There is no friendly name: Java calls the entry 1, NSS takes the
// common name.
func EncodePKCS12(key crypto.PrivateKey, chain []*x509.Certificate, password string) ([]byte, error) {
	if len(chain) == 0 {
		return nil, errors.New("encode PKCS#12: there is no certificate")
	}
	if !Fits(chain[0].PublicKey, key) {
		return nil, errors.New("encode PKCS#12: the private key is not that of the certificate")
	}
	if password == "" {
		return nil, errors.New("encode PKCS#12: the password is empty, which not all programs take")
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("encode PKCS#12: the password has letters beyond ASCII, which Java does not take")
	}
	data, err := pkcs12.Modern2023.WithIterations(iterations).Encode(key, chain[0], chain[1:], password)
	if err != nil {
		return nil, fmt.Errorf("encode PKCS#12: %s", libraryWords(err))
	}
	return data, nil
}

const (
	// maxIterations bounds each key derivation of a file, whose author chooses
	// it. A second is what this many take.
	maxIterations = 2_000_000
	// decodeTime bounds what the bound on iterations cannot see, since it is
	// encrypted itself.
	decodeTime = 20 * time.Second
)

// DecodePKCS12 opens a PKCS#12 file: one private key, nil if there is none, and
// its certificate followed by the others. It fails with [ErrPassword] if the
// password is wrong, and soon if the file asks for endless work.
func DecodePKCS12(data []byte, password string) (key crypto.PrivateKey, chain []*x509.Certificate, err error) {
	if err := checkPKCS12(data); err != nil {
		return nil, nil, fmt.Errorf("open PKCS#12: %w", err)
	}
	type result struct {
		key   crypto.PrivateKey
		chain []*x509.Certificate
		err   error
	}
	ctx, cancel := context.WithTimeout(context.Background(), decodeTime)
	defer cancel()
	done := make(chan result, 1)
	go func() { // the library cannot be interrupted; this ends with its work
		key, chain, err := openPKCS12(data, password)
		done <- result{key, chain, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, nil, fmt.Errorf("open PKCS#12: %w", r.err)
		}
		return r.key, r.chain, nil
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("open PKCS#12: not done after %v: its author asks for too much work", decodeTime)
	}
}

func openPKCS12(data []byte, password string) (crypto.PrivateKey, []*x509.Certificate, error) {
	key, first, others, err := pkcs12.DecodeChain(data, password)
	if err == nil {
		chain := append([]*x509.Certificate{first}, others...)
		if i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return Fits(c.PublicKey, key) }); i > 0 {
			leaf := chain[i]
			chain = append([]*x509.Certificate{leaf}, slices.Delete(chain, i, i+1)...)
		}
		return key, chain, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, nil, ErrPassword
	}
	if chain, err := pkcs12.DecodeTrustStore(data, password); err == nil && len(chain) > 0 {
		return nil, chain, nil
	}
	return nil, nil, errors.New(libraryWords(err))
}

// libraryWords returns an error of the library without its name.
func libraryWords(err error) string { return strings.TrimPrefix(err.Error(), "pkcs12: ") }

// A pfx is the outermost of PKCS#12 (RFC 7292, section 4).
type pfx struct {
	Version  int
	AuthSafe struct {
		ContentType asn1.ObjectIdentifier
		Content     asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	MacData asn1.RawValue `asn1:"optional"`
}

// version of all PKCS#12 files that are.
const pfxVersion = 3

// isPKCS12 reports whether der is a PKCS#12 file, as far as its outermost goes.
func isPKCS12(der []byte) bool {
	var p pfx
	_, err := asn1.Unmarshal(der, &p)
	return err == nil && p.Version == pfxVersion && len(p.AuthSafe.ContentType) > 0
}

// isIndefinite reports whether data may be a PKCS#12 file in BER: a sequence of
// indefinite length that begins with the version.
func isIndefinite(data []byte) bool {
	return bytes.HasPrefix(data, []byte{0x30, 0x80, 0x02, 0x01, pfxVersion, 0x30})
}

// checkPKCS12 looks at what can be seen without the password.
func checkPKCS12(data []byte) error {
	switch {
	case len(data) > MaxSize:
		return fmt.Errorf("it is larger than %d KiB", MaxSize>>10)
	case isIndefinite(data):
		return errBER
	case !isPKCS12(data):
		return errors.New("it is no PKCS#12 file")
	}
	var p pfx
	if _, err := asn1.Unmarshal(data, &p); err != nil {
		return err
	}
	if most := max(greatestInteger(p.MacData.FullBytes, 0), mostIterations(p.AuthSafe.Content.Bytes, 0)); most > maxIterations {
		return fmt.Errorf("its key derivation has %d iterations; more than %d are not tried", most, maxIterations)
	}
	return nil
}

var errBER = errors.New("its encoding is BER, which is not read here: openssl pkcs12 -in FILE -nodes, and openssl pkcs12 -export of that, makes it anew")

// mostIterations returns the greatest iteration count of the algorithms below
// der. Octet strings are looked into where they hold DER, since PKCS#12 wraps
// its parts in them.
func mostIterations(der []byte, depth int) int64 {
	most := int64(0)
	for v := range values(der, depth) {
		var id asn1.ObjectIdentifier
		if params, err := asn1.Unmarshal(v.Bytes, &id); err == nil && derivesKeys(id) {
			most = max(most, greatestInteger(params, depth+1))
		}
		if v.IsCompound || v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString {
			most = max(most, mostIterations(v.Bytes, depth+1))
		}
	}
	return most
}

// derivesKeys reports whether id is of PKCS#5 or of PKCS#12's own algorithms.
func derivesKeys(id asn1.ObjectIdentifier) bool {
	return len(id) >= 7 && (id[:6].Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5}) ||
		id[:7].Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1}))
}

// greatestInteger returns the greatest integer below der, which has one beyond
// maxIterations for those that an int64 cannot hold.
func greatestInteger(der []byte, depth int) int64 {
	most := int64(0)
	for v := range values(der, depth) {
		switch {
		case v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger:
			n := int64(0)
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil {
				n = maxIterations + 1
			}
			most = max(most, n)
		case v.IsCompound:
			most = max(most, greatestInteger(v.Bytes, depth+1))
		}
	}
	return most
}

// values returns what stands in der, one after the other, down to a depth that
// no honest file has.
func values(der []byte, depth int) iter.Seq[asn1.RawValue] {
	const deepest = 16
	return func(yield func(asn1.RawValue) bool) {
		for depth < deepest && len(der) > 0 {
			var v asn1.RawValue
			rest, err := asn1.Unmarshal(der, &v)
			if err != nil || !yield(v) {
				return
			}
			der = rest
		}
	}
}
