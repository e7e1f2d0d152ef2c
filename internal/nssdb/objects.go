package nssdb

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// An attribute is a number of PKCS #11; the columns of the tables are named
// after them.
type attribute uint32

const (
	attrClass        attribute = 0x0
	attrToken        attribute = 0x1
	attrPrivate      attribute = 0x2
	attrLabel        attribute = 0x3
	attrValue        attribute = 0x11
	attrType         attribute = 0x80
	attrIssuer       attribute = 0x81
	attrSerial       attribute = 0x82 // a DER INTEGER
	attrNameHashAlgo attribute = 0x8c
	attrSubject      attribute = 0x101
	attrID           attribute = 0x102
	attrModifiable   attribute = 0x170

	attrTrustServer attribute = 0x62c // CKA_PKCS_TRUST_SERVER_AUTH and so on
	attrTrustClient attribute = 0x62d
	attrTrustCode   attribute = 0x62e
	attrTrustEmail  attribute = 0x62f
	attrHash        attribute = 0x635 // CKA_HASH_OF_CERTIFICATE

	attrNSSTrustServer attribute = 0xce536358 // CKA_NSS_TRUST_SERVER_AUTH and so on
	attrNSSTrustClient attribute = 0xce536359
	attrNSSTrustCode   attribute = 0xce53635a
	attrNSSTrustEmail  attribute = 0xce53635b
	attrNSSStepUp      attribute = 0xce536360
	attrNSSSHA1        attribute = 0xce5363b4
	attrNSSMD5         attribute = 0xce5363b5
)

func (a attribute) column() string { return fmt.Sprintf("a%x", uint32(a)) }

const (
	classCertificate uint32 = 0x1
	classTrust       uint32 = 0xb        // CKO_TRUST
	classNSSTrust    uint32 = 0xce534353 // CKO_NSS_TRUST
)

// empty stands for a value of length 0, as opposed to none.
var empty = []byte{0xa5, 0x00, 0x5a}

// number returns v as the tables hold it.
func number(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// certificateAttributes are those of a certificate that are read.
var certificateAttributes = []attribute{attrClass, attrLabel, attrValue, attrIssuer, attrSerial}

// A generation is one of the two kinds of trust row.
type generation struct {
	class  uint32
	server attribute // holds the trust for TLS servers …
	anchor uint32    // … and this value if the certificate is a root for them
	hash   attribute // holds the hash of the certificate
	sum    func(der []byte) []byte
	signed []attribute // NSS takes none of them if one has no valid signature
}

var (
	classic = generation{
		class: classNSSTrust, server: attrNSSTrustServer, anchor: 0xce534352,
		hash: attrNSSSHA1, sum: func(der []byte) []byte { h := sha1.Sum(der); return h[:] },
		signed: []attribute{attrNSSSHA1, attrNSSTrustServer, attrNSSTrustClient, attrNSSTrustCode, attrNSSTrustEmail, attrNSSStepUp},
	}
	modern = generation{
		class: classTrust, server: attrTrustServer, anchor: 2,
		hash: attrHash, sum: func(der []byte) []byte { h := sha256.Sum256(der); return h[:] },
		signed: []attribute{attrHash, attrNameHashAlgo, attrTrustServer, attrTrustClient, attrTrustCode, attrTrustEmail},
	}
)

// columns returns the attributes of a trust row that are read.
func (g *generation) columns() []attribute {
	return append([]attribute{attrClass, attrIssuer, attrSerial}, g.signed...)
}

// A table holds objects. Their ids are of one table only.
type table struct {
	name       string // with its schema
	signatures string // what the ids of signatures in metaData begin with
}

var (
	publicTable  = table{"main.nssPublic", "sig_cert_"}
	privateTable = table{"keys.nssPrivate", "sig_key_"}
)

// signatureID is the key in the table metaData of a signature.
func (t table) signatureID(id int64, a attribute) string {
	return fmt.Sprintf("%s%08x_%08x", t.signatures, id, uint32(a))
}

// signaturePrefix is what the keys of all signatures of an object begin with.
func (t table) signaturePrefix(id int64) string { return fmt.Sprintf("%s%08x_", t.signatures, id) }

// An object is a row of a table. Attributes that it lacks are not in the map.
type object struct {
	id         int64
	attributes map[attribute][]byte
}

// An identity is how NSS finds the trust of a certificate.
type identity struct{ issuer, serial string }

func (o object) identity() identity {
	return identity{string(o.attributes[attrIssuer]), string(o.attributes[attrSerial])}
}

// A trustRow is a row of either generation, with the signatures of its signed
// attributes.
type trustRow struct {
	object
	*generation
	signatures map[attribute][]byte
}

// objects returns the public rows of a class with those of the attributes for
// which there is a column.
func (db *database) objects(ctx context.Context, class uint32, attributes []attribute) ([]object, error) {
	attributes = slices.DeleteFunc(slices.Clone(attributes), func(a attribute) bool { return !db.columns[a.column()] })
	return db.objectsIn(ctx, publicTable, class, attributes)
}

// objectsIn returns the rows of a class in a table, which has all the columns.
func (db *database) objectsIn(ctx context.Context, in table, class uint32, attributes []attribute) ([]object, error) {
	columns := make([]string, len(attributes))
	for i, a := range attributes {
		columns[i] = a.column()
	}
	rows, err := db.conn.QueryContext(ctx, "SELECT id, "+strings.Join(columns, ", ")+" FROM "+in.name+" WHERE a0 = ?", number(class))
	if err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	defer rows.Close()
	var objects []object
	for rows.Next() {
		var id any
		values := make([][]byte, len(attributes))
		into := []any{&id}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read objects: %w", err)
		}
		n, ok := id.(int64)
		if !ok {
			continue // not of NSS, which could not refer to it
		}
		o := object{n, map[attribute][]byte{}}
		for i, v := range values {
			switch {
			case bytes.Equal(v, empty):
				o.attributes[attributes[i]] = []byte{}
			case v != nil:
				o.attributes[attributes[i]] = v
			}
		}
		objects = append(objects, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read objects: %w", err)
	}
	return objects, nil
}

// trustRows returns the trust rows of both generations.
func (db *database) trustRows(ctx context.Context) ([]trustRow, error) {
	var trust []trustRow
	for _, g := range []*generation{&modern, &classic} {
		if !db.columns[g.server.column()] || !db.columns[g.hash.column()] {
			continue
		}
		objects, err := db.objects(ctx, g.class, g.columns())
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			row := trustRow{o, g, map[attribute][]byte{}}
			for _, a := range g.signed {
				if db.keys.state == keysMissing {
					break
				}
				if row.signatures[a], err = db.signature(ctx, publicTable, o.id, a); err != nil {
					return nil, err
				}
			}
			trust = append(trust, row)
		}
	}
	return trust, nil
}
