package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// javaPassword is that of every key store a JDK or distribution brings along.
// Since Java 18 there may be none at all; keytool takes this one then, too.
const javaPassword = "changeit"

// A javaEntry is a certificate that a Java key store trusts.
type javaEntry struct {
	alias string // "" where the format, PKCS #12, does not readily tell
	der   []byte
}

// A keyStore is what a Java key store trusts.
type keyStore struct {
	entries []javaEntry
	foreign bool // keytool needs another password than javaPassword to change it
}

var errJavaPassword = errors.New("the key store has a password of its own")

// readKeyStore reads a key store of either format that JDKs bring along.
func readKeyStore(file string) (keyStore, error) {
	data, err := readFile(file)
	if err != nil {
		return keyStore{}, err
	}
	k, err := parseKeyStore(data)
	if err != nil {
		return keyStore{}, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}

func parseKeyStore(data []byte) (keyStore, error) {
	if len(data) >= 4 && binary.BigEndian.Uint32(data) == jksMagic {
		entries, err := parseJKS(data)
		return keyStore{entries: entries, foreign: !jksOpensWith(data, javaPassword)}, err
	}
	certs, err := pkcs12.DecodeTrustStore(data, javaPassword)
	if err != nil {
		certs, err = pkcs12.DecodeTrustStore(data, "")
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return keyStore{}, errJavaPassword
	}
	if err != nil {
		return keyStore{}, fmt.Errorf("neither a JKS nor a PKCS #12 trust store: %v", err)
	}
	var k keyStore
	for _, c := range certs {
		k.entries = append(k.entries, javaEntry{der: c.Raw})
	}
	return k, nil
}

// find returns the entries with that fingerprint.
func (k keyStore) find(sum fingerprint) []javaEntry {
	var found []javaEntry
	for _, e := range k.entries {
		if sha256.Sum256(e.der) == sum {
			found = append(found, e)
		}
	}
	return found
}

func (k keyStore) bundle() bundle {
	var b bundle
	for _, e := range k.entries {
		b = append(b, e.der)
	}
	return b
}

// listedAliases returns the aliases under which what keytool -list -rfc prints
// holds the certificate with that fingerprint.
func listedAliases(printed string, sum fingerprint) []string {
	var aliases []string
	var alias string
	var text bytes.Buffer
	for line := range strings.Lines(printed) {
		if name, ok := strings.CutPrefix(line, "Alias name: "); ok {
			alias = strings.TrimRight(name, "\r\n")
			text.Reset()
		}
		text.WriteString(line)
		if strings.HasPrefix(line, "-----END CERTIFICATE-----") {
			if in := certificates(text.Bytes()); len(in) == 1 && in[0] == sum {
				aliases = append(aliases, alias)
			}
			text.Reset()
		}
	}
	return aliases
}
