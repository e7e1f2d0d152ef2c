package trust

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

const (
	jksMagic      = 0xfeedfeed
	jksKey        = 1 // entry with a private key and its chain
	jksTrusted    = 2 // entry with a trusted certificate
	jksDigestSize = sha1.Size
)

var errNotJKS = errors.New("not a Java key store (JKS)")

// parseJKS returns the trusted certificates of a JKS key store. The digest at
// the end, which is keyed with the store's password, is not checked: Java
// itself reads trusted certificates without the password.
//
// The format is that of the JDK's sun.security.provider.JavaKeyStore, numbers
// big-endian: magic, version, count, then per entry tag, alias, date and the
// certificates.
func parseJKS(store []byte) ([]javaEntry, error) {
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
	var entries []javaEntry
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
			if der := certificate(); !r.short {
				entries = append(entries, javaEntry{alias: alias, der: der})
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
	return entries, nil
}

// jksOpensWith reports whether password is that of a JKS key store: without
// it keytool writes nothing there.
func jksOpensWith(store []byte, password string) bool {
	if len(store) < jksDigestSize {
		return false
	}
	body, digest := store[:len(store)-jksDigestSize], store[len(store)-jksDigestSize:]
	h := sha1.New()
	for _, unit := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	h.Write([]byte("Mighty Aphrodite")) // the whitening that the JDK adds
	h.Write(body)
	return string(h.Sum(nil)) == string(digest)
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
