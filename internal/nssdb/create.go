package nssdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"devproxy/internal/atomicfile"
)

// schemaAttributes are the columns that NSS 3.87 gives its tables. Newer
// versions add the ones they miss when they open a database.
const schemaAttributes = "a0, a1, a2, a3, a10, a11, a12, a80, a81, a82, a83, a84, a85, a86, a87, a88, a89, a8a, a8b, a90, " +
	"a100, a101, a102, a103, a104, a105, a106, a107, a108, a109, a10a, a10b, a10c, a110, a111, " +
	"a120, a121, a122, a123, a124, a125, a126, a127, a128, a129, a130, a131, a132, a133, a134, " +
	"a160, a161, a162, a163, a164, a165, a166, a170, a180, a181, a200, a201, a202, a210, a300, a301, a302, " +
	"a400, a401, a402, a403, a404, a405, a406, a480, a481, a482, a500, a501, a502, a503, a40000211, a40000212, a80000001, " +
	"ace534351, ace534352, ace534353, ace534354, ace534355, ace534356, ace534357, ace534358, " +
	"ace534364, ace534365, ace534366, ace534367, ace534368, ace534369, ace534373, ace534374, " +
	"ace536351, ace536352, ace536353, ace536354, ace536355, ace536356, ace536357, ace536358, ace536359, " +
	"ace53635a, ace53635b, ace53635c, ace53635d, ace53635e, ace53635f, ace536360, ace5363b4, ace5363b5, ad5a0db00"

// objectTable returns the statements that make a table of objects.
func objectTable(name string) []string {
	return []string{
		"CREATE TABLE " + name + " (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, " + schemaAttributes + ")",
		"CREATE INDEX issuer ON " + name + " (a81)",
		"CREATE INDEX subject ON " + name + " (a101)",
		"CREATE INDEX label ON " + name + " (a3)",
		"CREATE INDEX ckaid ON " + name + " (a102)",
	}
}

// Create makes an empty database without a password in dir, which it makes,
// too, if need be: cert9.db, key4.db and pkcs11.txt, mode 0600. The error
// matches fs.ErrExist if there is a cert9.db, ErrNotDatabase if there is a
// key4.db that NSS could not use; no file is ever overwritten.
//
// cert9.db, which alone makes a folder a database, comes last. So a kill
// leaves files that the next Create, or NSS, keeps and completes.
func Create(ctx context.Context, dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, certificateFile)); err == nil {
		return fmt.Errorf("create a database in %s: %s: %w", dir, certificateFile, fs.ErrExist)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("create a database: %v", err)
	}
	modules, err := moduleText(dir)
	if err != nil {
		return err
	}
	certificates, err := image(ctx, objectTable("nssPublic"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create a database: %w", err)
	}
	switch err := createKeys(ctx, dir); {
	case errors.Is(err, fs.ErrExist):
		if err := checkKeyFile(ctx, dir); err != nil {
			return fmt.Errorf("create a database: %w", err)
		}
	case err != nil:
		return err
	}
	if err := place(dir, moduleFile, []byte(modules)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return place(dir, certificateFile, certificates)
}

// createKeys makes a key4.db with the empty password.
func createKeys(ctx context.Context, dir string) error {
	salt, check, err := newEmptyPassword()
	if err != nil {
		return err
	}
	data, err := image(ctx, append(objectTable("nssPrivate"),
		"CREATE TABLE metaData (id PRIMARY KEY UNIQUE ON CONFLICT REPLACE, item1, item2)",
		"INSERT INTO metaData (id, item1, item2) VALUES ('password', ?, ?)"), salt, check)
	if err != nil {
		return err
	}
	return place(dir, keyFile, data)
}

// checkKeyFile returns nil if the key4.db in dir is one of NSS.
func checkKeyFile(ctx context.Context, dir string) error {
	return retry(ctx, time.Now().Add(LockWait), dir, func() error {
		db, closeAll, err := open(ctx, filepath.Join(dir, keyFile), "ro")
		if err != nil {
			return err
		}
		defer closeAll()
		return db.checkKeyTables(ctx, "main")
	})
}

// newEmptyPassword returns the items of the row "password" for a fresh salt.
func newEmptyPassword() (salt, check []byte, err error) {
	salt = make([]byte, 20)
	rand.Read(salt)
	check, err = seal([]byte(passwordCheck), emptyPassword(salt))
	if err != nil {
		return nil, nil, fmt.Errorf("set the empty password: %v", err)
	}
	return salt, check, nil
}

func place(dir, name string, data []byte) error {
	if err := atomicfile.Create(filepath.Join(dir, name), data, 0o600); err != nil {
		return fmt.Errorf("create a database in %s: %s: %w", dir, name, err)
	}
	return nil
}

// image returns the bytes of a database after statements, the last of which
// gets args.
func image(ctx context.Context, statements []string, args ...any) (data []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make an empty database: %w", err)
		}
	}()
	pool, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for i, s := range statements {
		var with []any
		if i == len(statements)-1 {
			with = args
		}
		if _, err := conn.ExecContext(ctx, s, with...); err != nil {
			return nil, err
		}
	}
	err = conn.Raw(func(c any) error {
		s, ok := c.(interface{ Serialize() ([]byte, error) })
		if !ok {
			return errors.ErrUnsupported
		}
		data, err = s.Serialize()
		return err
	})
	return data, err
}

// moduleText returns the content of pkcs11.txt for a database in dir, as NSS
// writes it.
func moduleText(dir string) (string, error) {
	if strings.ContainsAny(dir, "\r\n") {
		return "", fmt.Errorf("create a database: NSS cannot use a folder with a line break in its name: %q", dir)
	}
	dir = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(dir)
	return "library=\n" +
		"name=NSS Internal PKCS #11 Module\n" +
		"parameters=configdir='sql:" + dir + "' certPrefix='' keyPrefix='' secmod='secmod.db' flags= updatedir='' updateCertPrefix='' updateKeyPrefix='' updateid='' updateTokenDescription='' \n" +
		"NSS=Flags=internal,critical trustOrder=75 cipherOrder=100 slotParams=(1={slotFlags=[ECC,RSA,DSA,DH,RC2,RC4,DES,RANDOM,SHA1,MD5,MD2,SSL,TLS,AES,Camellia,SEED,SHA256,SHA512] askpw=any timeout=30})\n\n", nil
}
