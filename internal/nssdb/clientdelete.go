package nssdb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// HoldsClient reports whether DeleteClient would find something. Errors are
// those of Find.
func HoldsClient(ctx context.Context, dir string, fingerprint [32]byte, ours func(nickname string) bool) (held bool, err error) {
	err = read(ctx, dir, func(db *database) error {
		rows, err := db.clientRows(ctx, fingerprint, ours)
		held = len(rows) > 0
		return err
	})
	return held, err
}

// DeleteClient takes out of the database in dir the certificate with this
// SHA-256 fingerprint, and the keys that belong to no certificate which is
// left, with all signatures; of all that only what ours says yes to by its
// nickname. removed is false if there was nothing, and then nothing is written.
// No password is needed. After any error nothing has changed.
//
// Besides those of Find, errors match ErrReadOnly.
func DeleteClient(ctx context.Context, dir string, fingerprint [32]byte, ours func(nickname string) bool) (removed bool, err error) {
	held, err := HoldsClient(ctx, dir, fingerprint, ours)
	if err == nil && held || errors.Is(err, errInterrupted) {
		err = write(ctx, dir, func(db *database) error {
			rows, err := db.clientRows(ctx, fingerprint, ours)
			if err != nil {
				return err
			}
			removed = len(rows) > 0
			for _, r := range rows {
				if err := db.remove(ctx, r.in, r.id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("delete a client certificate from %s: %w", dir, err)
	}
	return removed, nil
}

// A row is where an object lies.
type row struct {
	in table
	id int64
}

// clientRows returns what DeleteClient deletes.
func (db *database) clientRows(ctx context.Context, fingerprint [32]byte, ours func(string) bool) ([]row, error) {
	isOurs := func(o object) bool { return ours(string(o.attributes[attrLabel])) }
	certificates, err := db.objects(ctx, classCertificate, append(slices.Clone(certificateAttributes), attrID))
	if err != nil {
		return nil, err
	}
	var rows []row
	needed := map[string]bool{}
	for _, o := range certificates {
		if sha256.Sum256(o.attributes[attrValue]) == fingerprint && isOurs(o) {
			rows = append(rows, row{publicTable, o.id})
		} else {
			needed[string(o.attributes[attrID])] = true
		}
	}
	private, err := db.privateKeys(ctx, nil)
	if err != nil {
		return nil, err
	}
	public, err := db.publicKeys(ctx)
	if err != nil {
		return nil, err
	}
	for in, keys := range map[table][]object{privateTable: private, publicTable: public} {
		for _, o := range keys {
			if !needed[string(o.attributes[attrID])] && isOurs(o) {
				rows = append(rows, row{in, o.id})
			}
		}
	}
	return rows, nil
}
