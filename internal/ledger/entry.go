package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"
)

// What a ledger can hold. An entry of one name takes about 500 bytes.
const (
	maxFile    = 8 << 20 // bytes
	maxEntries = 10_000
	maxNames   = 1_000 // of one entry
	maxName    = 1_024 // bytes
	maxSerial  = 40    // digits, 20 octets: RFC 5280, section 4.1.2.2
	sumDigits  = 64    // of a SHA-256

	hexDigits = "0123456789abcdef"
)

// schema goes up when an older devproxy could not keep what a newer one wrote.
const schema = 1

const restoreHint = "restore it from a backup; if there is none, move it away and replace the CA, since what was revoked is not known any more"

// The kinds of certificates.
const (
	Server = "server"
	Client = "client"
)

// An Entry is one certificate that was handed out. Times are in UTC and whole
// seconds.
type Entry struct {
	Serial      string    `json:"serial"`      // lower-case hex without leading zeros
	Kind        string    `json:"kind"`        // Server or Client
	Names       []string  `json:"names"`       // whom it was issued to
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the DER, lower-case hex
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Issued      time.Time `json:"issued"`
	Revoked     time.Time `json:"revoked,omitzero"` // zero: it is not
	Root        string    `json:"root"`             // SHA-256 of the root it leads to, lower-case hex
}

// Number returns the serial number as certificates have it; nil only for an
// entry that Read would refuse.
func (e Entry) Number() *big.Int {
	n, ok := new(big.Int).SetString(e.Serial, 16)
	if !ok {
		return nil
	}
	return n
}

// normal returns e with its times as they are kept.
func (e Entry) normal() Entry {
	for _, t := range []*time.Time{&e.NotBefore, &e.NotAfter, &e.Issued, &e.Revoked} {
		if !t.IsZero() {
			*t = t.UTC().Truncate(time.Second)
		}
	}
	return e
}

// check refuses what Add never writes.
func (e Entry) check() error {
	switch {
	case e.Serial == "" || len(e.Serial) > maxSerial || strings.Trim(e.Serial, hexDigits) != "" || e.Serial[0] == '0':
		return fmt.Errorf("serial number %.50q is not one in lower-case hex", e.Serial)
	case e.Kind != Server && e.Kind != Client:
		return fmt.Errorf("kind %.50q is not known", e.Kind)
	case len(e.Names) == 0 || len(e.Names) > maxNames:
		return fmt.Errorf("%d names, want 1 to %d", len(e.Names), maxNames)
	case !isSum(e.Fingerprint):
		return fmt.Errorf("fingerprint %.100q is not %d digits of lower-case hex", e.Fingerprint, sumDigits)
	case !isSum(e.Root):
		return fmt.Errorf("root %.100q is not %d digits of lower-case hex", e.Root, sumDigits)
	case e.NotBefore.IsZero() || e.Issued.IsZero():
		return errors.New("a time is missing")
	case !e.NotAfter.After(e.NotBefore):
		return errors.New("it ends before it begins")
	}
	for _, t := range []time.Time{e.NotBefore, e.NotAfter, e.Issued, e.Revoked} {
		if t.Year() < 1 || t.Year() > 9999 {
			return fmt.Errorf("year %d", t.Year()) // JSON has no way to write it
		}
	}
	for _, name := range e.Names {
		if name == "" || len(name) > maxName || !utf8.ValidString(name) {
			return fmt.Errorf("name %.50q is not text of 1 to %d bytes", name, maxName)
		}
	}
	return nil
}

func isSum(s string) bool { return len(s) == sumDigits && strings.Trim(s, hexDigits) == "" }

// document is the JSON of the file.
type document struct {
	Schema       int     `json:"schema"`
	Certificates []Entry `json:"certificates"`
}

// A newerError is a ledger that this devproxy would damage by writing it.
type newerError struct{ schema int }

func (e *newerError) Error() string {
	return fmt.Sprintf("was written by a newer devproxy (schema %d)", e.schema)
}

// parse is the inverse of encode.
func parse(data []byte) ([]Entry, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	// A newer one may have fields that are not known here, so its number is
	// looked at first.
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("is damaged: %v", err)
	}
	switch {
	case head.Schema > schema:
		return nil, &newerError{head.Schema}
	case head.Schema != schema:
		return nil, fmt.Errorf("is damaged: schema %d", head.Schema)
	}
	var doc document
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("is damaged: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("is damaged: there is something after its end")
	}
	if doc.Certificates == nil {
		return nil, errors.New("is damaged: the certificates are missing")
	}
	for i := range doc.Certificates {
		doc.Certificates[i] = doc.Certificates[i].normal()
	}
	if err := checkAll(doc.Certificates); err != nil {
		return nil, fmt.Errorf("is damaged: %v", err)
	}
	return doc.Certificates, nil
}

func checkAll(entries []Entry) error {
	if len(entries) > maxEntries {
		return fmt.Errorf("more than %d certificates", maxEntries)
	}
	seen := make(map[string]int, len(entries))
	for i, e := range entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("certificate %d: %v", i+1, err)
		}
		if first, ok := seen[e.Serial]; ok {
			return fmt.Errorf("certificates %d and %d have one serial number", first, i+1)
		}
		seen[e.Serial] = i + 1
	}
	return nil
}

// encode returns the content of the file. What Read would refuse is an error:
// it must not be written.
func encode(entries []Entry) ([]byte, error) {
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("is full: it has %d certificates", maxEntries)
	}
	if entries == nil {
		entries = []Entry{}
	}
	data, err := json.MarshalIndent(document{Schema: schema, Certificates: entries}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode: %v", err)
	}
	if data = append(data, '\n'); len(data) > maxFile {
		return nil, fmt.Errorf("is full: it would have more than %d bytes", maxFile)
	}
	return data, nil
}
