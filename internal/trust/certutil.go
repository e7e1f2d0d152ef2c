package trust

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"devproxy/internal/elevate"
)

// certutil is NSS's own tool for its databases. Its exit status says little
// (clients.md §6), so callers read back what it did.
type certutil struct {
	path string // absolute; "" if there is none
	root string // file system root, to tell which distribution this is
	run  runner
}

var errNoCertutil = errors.New("certutil is not installed")

// missing is the problem of having no certutil, with the package that has it.
func (c certutil) missing() error {
	fix := "install certutil, NSS's command line tool, then trust again"
	for _, d := range []struct{ tool, command string }{
		{"/usr/bin/apt-get", "apt-get install libnss3-tools"},
		{"/usr/bin/dnf", "dnf install nss-tools"},
		{"/usr/bin/yum", "yum install nss-tools"},
		{"/usr/bin/zypper", "zypper install mozilla-nss-tools"},
		{"/usr/bin/pacman", "pacman -S nss"},
		{"/sbin/apk", "apk add nss-tools"},
	} {
		if isExecutable(filepath.Join(c.root, d.tool)) {
			fix = fmt.Sprintf("install it as root with %q, then trust again", d.command)
			break
		}
	}
	return &problem{detail: errNoCertutil.Error(), fix: fix}
}

// The commands, as they are run and as --dry-run shows them.

func (c certutil) createCommand(dir string) elevate.Command {
	return elevate.Command{c.path, "-N", "-d", "sql:" + dir, "--empty-password"}
}

// addCommand marks a root as trusted for TLS servers and for nothing else.
func (c certutil) addCommand(dir string, a anchor) elevate.Command {
	return elevate.Command{c.path, "-A", "-d", "sql:" + dir, "-t", "C,,", "-n", a.name, "-a", "-i", a.file}
}

func (c certutil) deleteCommand(dir, nickname string) elevate.Command {
	return elevate.Command{c.path, "-D", "-d", "sql:" + dir, "-n", nickname}
}

// An nssError is a failure of certutil.
type nssError struct {
	code string // as SEC_ERROR_READ_ONLY; "" if it gave none
	text string
}

func (e *nssError) Error() string { return e.text }

// NSS's names for what can be told apart.
const (
	nssLocked      = "SEC_ERROR_PKCS11_GENERAL_ERROR" // also for other trouble on writing
	nssBadDatabase = "SEC_ERROR_BAD_DATABASE"         // also while another process writes
	nssReadOnly    = "SEC_ERROR_READ_ONLY"
	nssBadPassword = "SEC_ERROR_BAD_PASSWORD"
	nssNotLoggedIn = "SEC_ERROR_TOKEN_NOT_LOGGED_IN"
)

var nssCode = regexp.MustCompile(`\b(SEC|PR)_[A-Z0-9_]*ERROR[A-Z0-9_]*`)

// failure turns what certutil said into an error that matches code where
// several codes appear: the most telling one counts.
func failure(r result) error {
	codes := nssCode.FindAllString(r.errs, -1)
	e := &nssError{text: "certutil: " + firstLine(strings.TrimPrefix(firstLine(r.errs), "certutil: "))}
	if firstLine(r.errs) == "" {
		e.text = fmt.Sprintf("certutil: exit status %d", r.code)
	}
	if len(codes) > 0 {
		e.code = codes[0]
	}
	for _, telling := range []string{nssBadPassword, nssNotLoggedIn, nssReadOnly} {
		if slices.Contains(codes, telling) {
			e.code = telling
			break
		}
	}
	return e
}

func (c certutil) do(ctx context.Context, argv []string) (string, error) {
	if c.path == "" {
		return "", c.missing()
	}
	r, err := c.run(ctx, argv...)
	if err != nil {
		return "", err
	}
	if r.code != 0 {
		return "", failure(r)
	}
	return r.out, nil
}

// An entry is a line of certutil's list.
type entry struct {
	nickname string
	flags    string // as "C,,": trust for TLS, mail, code
}

// trusted reports whether the flags make a root for TLS servers.
func (e entry) trusted() bool {
	tls, _, _ := strings.Cut(e.flags, ",")
	return strings.Contains(tls, "C")
}

// list returns what the database holds.
func (c certutil) list(ctx context.Context, dir string) ([]entry, error) {
	out, err := c.do(ctx, []string{c.path, "-L", "-d", "sql:" + dir})
	return parseList(out), err
}

// listLine is a nickname, spaces and the flags. The heading has no such flags.
var listLine = regexp.MustCompile(`^(.*?) +([a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*) *$`)

func parseList(out string) []entry {
	var all []entry
	for line := range strings.Lines(out) {
		if m := listLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil && m[1] != "" {
			all = append(all, entry{nickname: m[1], flags: m[2]})
		}
	}
	return all
}

// holds reports whether the certificate called nickname is the one with that
// fingerprint. Certificates with one subject share a nickname.
func (c certutil) holds(ctx context.Context, dir, nickname string, sum fingerprint) (bool, error) {
	out, err := c.do(ctx, []string{c.path, "-L", "-d", "sql:" + dir, "-n", nickname, "-a"})
	return slices.Contains(certificates([]byte(out)), sum), err
}
