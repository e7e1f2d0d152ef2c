package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeNSS is certutil with the faults of clients.md §6 on demand.
type fakeNSS struct {
	dir      string
	certs    []fakeCert
	password bool // -A fails, leaving the certificate without trust
	readOnly bool
	locked   int  // how many calls fail before one gets through
	stubborn bool // -D says it worked, and did not
	liar     bool // -A says it worked, and did not
	runs     []string
}

type fakeCert struct {
	entry
	pem []byte
}

func (f *fakeNSS) run(_ context.Context, argv ...string) (result, error) {
	f.runs = append(f.runs, argv[1])
	value := func(option string) string {
		if i := slices.Index(argv, option); i >= 0 {
			return argv[i+1]
		}
		return ""
	}
	fail := func(codes ...string) (result, error) {
		return result{code: 255, errs: "certutil: function failed: " + strings.Join(codes, ": words.\ncertutil: ") + ": words.\n"}, nil
	}
	if value("-d") != "sql:"+f.dir {
		return fail("SEC_ERROR_BAD_DATABASE")
	}
	if f.locked > 0 {
		f.locked--
		return fail(nssLocked)
	}
	at := slices.IndexFunc(f.certs, func(c fakeCert) bool { return c.nickname == value("-n") })
	switch argv[1] {
	case "-N":
		return result{}, os.WriteFile(filepath.Join(f.dir, "cert9.db"), []byte("SQLite format 3\x00"), 0o600)
	case "-L":
		if value("-n") == "" {
			out := "\nCertificate Nickname                                         Trust Attributes\n" +
				"                                                             SSL,S/MIME,JAR/XPI\n\n"
			for _, c := range f.certs {
				out += fmt.Sprintf("%-60s %-5s\n", c.nickname, c.flags)
			}
			return result{out: out}, nil
		}
		if at < 0 {
			return fail("PR_FILE_NOT_FOUND_ERROR")
		}
		return result{out: string(f.certs[at].pem)}, nil
	case "-A":
		data, err := os.ReadFile(value("-i"))
		same := slices.IndexFunc(f.certs, func(c fakeCert) bool { return string(c.pem) == string(data) })
		switch {
		case err != nil:
			return result{}, err
		case f.readOnly:
			return fail(nssReadOnly)
		case f.liar:
			return result{}, nil
		case same >= 0 && !f.password:
			f.certs[same].flags = value("-t")
			return result{}, nil
		case at >= 0 && at != same:
			return fail("SEC_ERROR_ADDING_CERT")
		}
		c := fakeCert{entry: entry{nickname: value("-n"), flags: value("-t")}, pem: data}
		if f.password {
			c.flags = ",,"
		}
		if same < 0 {
			f.certs = append(f.certs, c)
		}
		if f.password {
			return fail(nssBadPassword, "SEC_ERROR_ADDING_CERT")
		}
		return result{}, nil
	case "-D":
		switch {
		case f.readOnly:
			return fail(nssReadOnly)
		case at < 0:
			return fail("SEC_ERROR_INVALID_ARGS")
		case !f.stubborn:
			f.certs = slices.Delete(f.certs, at, at+1)
		}
		return result{}, nil
	}
	return result{}, errors.New("unexpected: " + strings.Join(argv, " "))
}

// newFakeNSS returns a database in an empty folder, and a Machine whose only
// store it is.
func newFakeNSS(t *testing.T) (*Machine, *fakeNSS, *database) {
	t.Helper()
	m := newMachine(t)
	dir := filepath.Join(m.cfg.Home, "pki", "nssdb")
	f := &fakeNSS{dir: dir}
	m.run = f.run
	m.cfg.Path = filepath.Join(m.cfg.Root, "usr/bin")
	build(t, m.cfg.Path, "../bin/certutil")
	d := m.database("Chromium", dir)
	finds(m, d)
	return m, f, d
}
