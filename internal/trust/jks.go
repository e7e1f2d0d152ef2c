package trust

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	jksMagic      = 0xfeedfeed
	jksKey        = 1 // entry with a private key and its chain
	jksTrusted    = 2 // entry with a trusted certificate
	jksDigestSize = 20
)

var errNotJKS = errors.New("not a Java key store (JKS)")

// jksAliases returns the aliases under which a JKS key store trusts the
// certificate with that fingerprint. The digest at the end, which is keyed
// with the store's password, is not checked: Java itself reads trusted
// certificates without the password.
//
// The format is that of the JDK's sun.security.provider.JavaKeyStore, numbers
// big-endian: magic, version, count, then per entry tag, alias, date and the
// certificates.
func jksAliases(store []byte, sum fingerprint) ([]string, error) {
	r := jksReader{rest: store}
	if r.uint32() != jksMagic {
		return nil, errNotJKS
	}
	version := r.uint32()
	if version != 1 && version != 2 {
		return nil, fmt.Errorf("%w: version %d", errNotJKS, version)
	}
	certificate := func() []byte {
		if version == 2 {
			r.string() // "X.509"
		}
		return r.bytes(uint64(r.uint32()))
	}
	var aliases []string
	for count := r.uint32(); count > 0 && !r.short; count-- {
		tag, alias := r.uint32(), r.string()
		r.bytes(8) // date
		switch tag {
		case jksKey:
			r.bytes(uint64(r.uint32())) // the encrypted key
			for chain := r.uint32(); chain > 0 && !r.short; chain-- {
				certificate()
			}
		case jksTrusted:
			if der := certificate(); !r.short && sha256.Sum256(der) == sum {
				aliases = append(aliases, alias)
			}
		default:
			if !r.short {
				return nil, fmt.Errorf("%w: entry of kind %d", errNotJKS, tag)
			}
		}
	}
	if r.short || len(r.rest) != jksDigestSize {
		return nil, fmt.Errorf("%w: wrong length", errNotJKS)
	}
	return aliases, nil
}

// A jksReader takes numbers and strings off the front of rest. Once something
// is missing, short is set and everything after is zero.
type jksReader struct {
	rest  []byte
	short bool
}

func (r *jksReader) bytes(n uint64) []byte {
	if r.short || n > uint64(len(r.rest)) {
		r.short = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *jksReader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// string reads a string in Java's modified UTF-8, which for the aliases we
// look for is plain ASCII.
func (r *jksReader) string() string {
	if b := r.bytes(2); b != nil {
		return string(r.bytes(uint64(binary.BigEndian.Uint16(b))))
	}
	return ""
}
