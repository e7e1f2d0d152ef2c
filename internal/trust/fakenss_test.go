package trust

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"devproxy/internal/nssdb"
)

// fakeNSS is certutil, with a fault on demand.
type fakeNSS struct {
	fault string // "": none; "fails", "lies" (does nothing and says it did) or "hangs"
	runs  []string
}

func (f *fakeNSS) run(ctx context.Context, argv ...string) (result, error) {
	f.runs = append(f.runs, argv[1])
	value := func(option string) string { return argv[slices.Index(argv, option)+1] }
	var err error
	switch dir := strings.TrimPrefix(value("-d"), "sql:"); {
	case f.fault == "lies":
	case f.fault == "fails":
		err = errors.New("SEC_ERROR_PKCS11_GENERAL_ERROR")
	case f.fault == "hangs":
		return result{}, errors.New("certutil did not finish in time")
	case argv[1] == "-N":
		err = nssdb.Create(ctx, dir)
	case argv[1] == "-A":
		data, readErr := os.ReadFile(value("-i"))
		root, parseErr := parseCertificate(data)
		if err = errors.Join(readErr, parseErr); err == nil {
			err = nssdb.Add(ctx, dir, value("-n"), root)
		}
	default:
		return result{}, errors.New("unexpected: " + strings.Join(argv, " "))
	}
	if err != nil {
		return result{code: 255, errs: "certutil: " + err.Error()}, nil
	}
	return result{}, nil
}

// newFakeNSS returns a database in a folder that is not there yet, and a
// Machine whose only store it is.
func newFakeNSS(t *testing.T) (*Machine, *fakeNSS, *database) {
	t.Helper()
	m := newMachine(t)
	f := &fakeNSS{}
	m.run = f.run
	m.cfg.Path = filepath.Join(m.cfg.Root, "usr/bin")
	build(t, m.cfg.Path, "../bin/certutil")
	d := m.database("Chromium", filepath.Join(m.cfg.Home, "pki", "nssdb"))
	finds(m, d)
	return m, f, d
}

// execSQL changes a database behind everybody's back.
func execSQL(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file) // nssdb has the driver
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func poolOf(roots ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	return pool
}
