package nssdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// LockWait is how long a database that another process has locked is waited
// for. NSS holds a lock for milliseconds, and a person waits for several
// stores.
const LockWait = 1500 * time.Millisecond

// lockPause is the time between two tries.
const lockPause = 25 * time.Millisecond

const (
	certificateFile = "cert9.db"
	keyFile         = "key4.db"
	moduleFile      = "pkcs11.txt"
)

// A database is one connection to both files: cert9.db as main, key4.db as
// keys. As they are attached to each other, SQLite commits a change of both as
// one, so that a kill at any moment leaves all of it or nothing; whoever opens
// a file next, NSS included, sees to it. Locks are taken in NSS's own order,
// cert9.db first. Only in WAL mode, which NSS never sets, are there two
// commits, and readers leave the files -wal and -shm; half of a change is then
// trust without signatures or signatures without an object, which nobody
// trusts and Add mends, as it mends what NSS leaves by its two commits.
//
// The files are never opened except by SQLite: closing one would drop the
// locks that other connections of this process hold.
type database struct {
	conn       *sql.Conn
	columns    map[string]bool // of nssPublic
	keyColumns map[string]bool // of nssPrivate
	keys       keys
}

// read calls f in a transaction that changes nothing, again if a lock was met.
func read(ctx context.Context, dir string, f func(*database) error) error {
	return retry(ctx, time.Now().Add(LockWait), dir, func() error {
		return within(ctx, dir, "ro", func(db *database) error {
			if _, err := db.conn.ExecContext(ctx, "BEGIN"); err != nil {
				return err
			}
			if err := db.load(ctx); err != nil {
				return err
			}
			return f(db)
		})
	})
}

// write calls f in a transaction that holds the write locks of both files, and
// commits unless f fails. If f changes nothing, the files stay as they are.
func write(ctx context.Context, dir string, f func(*database) error) error {
	deadline := time.Now().Add(LockWait)
	return retry(ctx, deadline, dir, func() error {
		return within(ctx, dir, "rw", func(db *database) error {
			if _, err := db.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
				return err
			}
			if err := db.load(ctx); err != nil {
				return err
			}
			if err := f(db); err != nil {
				return err
			}
			// A reader can be in the way of the commit, which can then be repeated.
			return retry(ctx, deadline, dir, func() error {
				_, err := db.conn.ExecContext(ctx, "COMMIT")
				return err
			})
		})
	})
}

// retry calls f until it meets no lock or deadline has passed, and makes errors
// of SQLite those of this package.
func retry(ctx context.Context, deadline time.Time, dir string, f func() error) error {
	for {
		err := f()
		code, ok := sqliteCode(err)
		if !ok {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("use the database in %s: %w", dir, context.Cause(ctx))
		}
		if code != sqlite3.SQLITE_BUSY && code != sqlite3.SQLITE_LOCKED || !time.Now().Before(deadline) {
			return explain(err, dir)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

// within opens the database in the given mode of SQLite and closes it after f,
// which rolls back what is not committed.
func within(ctx context.Context, dir, mode string, f func(*database) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("open the database in %s: %w", dir, context.Cause(ctx))
	}
	db, closeAll, err := open(ctx, filepath.Join(dir, certificateFile), mode)
	if err != nil {
		return err
	}
	defer closeAll()
	switch err := regular(filepath.Join(dir, keyFile)); {
	case errors.Is(err, fs.ErrNotExist):
		db.keys.state = keysMissing
	case err != nil:
		return err
	default:
		attached, err := uri(filepath.Join(dir, keyFile), mode)
		if err != nil {
			return err
		}
		if _, err := db.conn.ExecContext(ctx, "ATTACH ? AS keys", attached); err != nil {
			return err
		}
	}
	return f(db)
}

// open opens the file at path as the main schema of a connection.
func open(ctx context.Context, path, mode string) (db *database, closeAll func(), err error) {
	if err := regular(path); err != nil {
		return nil, nil, err
	}
	name, err := uri(path, mode)
	if err != nil {
		return nil, nil, err
	}
	pool, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return &database{conn: conn}, func() {
		conn.Close()
		pool.Close()
	}, nil
}

// regular returns nil if path leads to a file: to open anything else can hang.
func regular(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file: %w", path, ErrNotDatabase)
	case info.Size() == 0:
		return fmt.Errorf("%s is empty: %w", path, ErrNotDatabase)
	}
	return nil
}

// uri returns the name by which SQLite opens the file at path in mode ro or rw:
// neither creates it.
func uri(path, mode string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive letter of Windows
		path = "/" + path
	}
	// A schema from elsewhere is not to call functions.
	// What is deleted is overwritten: no trace of it is to stay.
	query := "?mode=" + mode + "&_pragma=trusted_schema(0)&_pragma=secure_delete(1)"
	return "file://" + (&url.URL{Path: path}).EscapedPath() + query, nil
}

// load checks that the tables are those of NSS and finds out how the keys are
// protected.
func (db *database) load(ctx context.Context) error {
	var err error
	if db.columns, err = db.tableColumns(ctx, "main", "nssPublic"); err != nil {
		return err
	}
	for _, a := range slices.Concat(certificateAttributes, classic.columns()) {
		if !db.columns[a.column()] {
			return fmt.Errorf("the table nssPublic has no column %s: %w", a.column(), ErrNotDatabase)
		}
	}
	if db.keys.state == keysMissing {
		return nil
	}
	if err := db.checkKeyTables(ctx, "keys"); err != nil {
		return err
	}
	db.keys, err = db.loadKeys(ctx)
	return err
}

// checkKeyTables checks that the tables of key4.db are those of NSS, and keeps
// what columns there are.
func (db *database) checkKeyTables(ctx context.Context, schema string) error {
	var err error
	if db.keyColumns, err = db.tableColumns(ctx, schema, "nssPrivate"); err != nil {
		return err
	}
	columns, err := db.tableColumns(ctx, schema, "metaData")
	if err != nil {
		return err
	}
	for _, c := range []string{"id", "item1", "item2"} {
		if !columns[c] {
			return fmt.Errorf("the table metaData has no column %s: %w", c, ErrNotDatabase)
		}
	}
	return nil
}

func (db *database) tableColumns(ctx context.Context, schema, table string) (map[string]bool, error) {
	rows, err := db.conn.QueryContext(ctx, "SELECT name FROM pragma_table_info(?, ?)", table, schema)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	defer rows.Close()
	columns := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read the columns of %s: %w", table, err)
		}
		columns[name] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("there is no table %s: %w", table, ErrNotDatabase)
	}
	return columns, nil
}

// sqliteCode returns the primary result code of SQLite in err.
func sqliteCode(err error) (code int, ok bool) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return 0, false
	}
	return e.Code() & 0xff, true
}

// errInterrupted says that a program was killed while it wrote. The files can
// be read again once someone, this package or NSS, has opened them for writing.
var errInterrupted = errors.New("a program was stopped while it wrote; starting and quitting the browser mends it")

// explain returns err, which holds an error of SQLite, as one of this package.
func explain(err error, dir string) error {
	e, _ := errors.AsType[*sqlite.Error](err)
	of := func(kind error) error { return fmt.Errorf("database in %s: %w: %v", dir, kind, err) }
	if e.Code() == sqlite3.SQLITE_READONLY_ROLLBACK || e.Code() == sqlite3.SQLITE_READONLY_RECOVERY {
		return of(errInterrupted)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return of(ErrLocked)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return of(ErrReadOnly)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return of(ErrNotDatabase)
	case sqlite3.SQLITE_CANTOPEN:
		return of(fs.ErrPermission)
	}
	return fmt.Errorf("database in %s: %v", dir, err)
}
