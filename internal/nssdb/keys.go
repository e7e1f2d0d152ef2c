package nssdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// What key4.db says about the key that signs trust.
const (
	keysMissing  = iota + 1 // there is no key4.db
	keysUnset               // no password was ever set, not even the empty one
	keysOpen                // the password is empty
	keysPassword            // there is a password
	keysUnknown             // protected in a way not known here
)

// keys is how a database protects its contents.
type keys struct {
	state    int
	password []byte // with keysOpen: what signatures are made with
}

// unusable returns why nothing can be signed with k, or nil.
func (k keys) unusable() error {
	switch k.state {
	case keysPassword:
		return ErrPassword
	case keysUnknown:
		return ErrFormat
	}
	return nil
}

// loadKeys reads the row "password" of key4.db.
func (db *database) loadKeys(ctx context.Context) (keys, error) {
	var salt, check []byte
	err := db.conn.QueryRowContext(ctx, "SELECT item1, item2 FROM keys.metaData WHERE id = 'password'").Scan(&salt, &check)
	if errors.Is(err, sql.ErrNoRows) {
		return keys{state: keysUnset}, nil
	}
	if err != nil {
		return keys{}, fmt.Errorf("read how the keys are protected: %w", err)
	}
	password := emptyPassword(salt)
	switch open, err := opens(check, password); {
	case err != nil:
		return keys{state: keysUnknown}, nil
	case !open:
		return keys{state: keysPassword}, nil
	}
	return keys{keysOpen, password}, nil
}

// setEmptyPassword does what NSS does to a fresh key4.db before it signs.
func (db *database) setEmptyPassword(ctx context.Context) error {
	salt, check, err := newEmptyPassword()
	if err != nil {
		return err
	}
	_, err = db.conn.ExecContext(ctx, "INSERT INTO keys.metaData (id, item1, item2) VALUES ('password', ?, ?)", salt, check)
	if err != nil {
		return fmt.Errorf("set the empty password: %w", err)
	}
	db.keys = keys{keysOpen, emptyPassword(salt)}
	return nil
}

// signature returns the signature of attribute a of an object, nil if there is
// none.
func (db *database) signature(ctx context.Context, in table, id int64, a attribute) ([]byte, error) {
	var der []byte
	err := db.conn.QueryRowContext(ctx, "SELECT item1 FROM keys.metaData WHERE id = ?", in.signatureID(id, a)).Scan(&der)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read a signature: %w", err)
	}
	return der, nil
}
