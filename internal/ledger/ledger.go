// Package ledger keeps what was handed out: one entry for each certificate
// that the CA issued by hand, and whether it was revoked. It is one JSON file
// in the state folder, always replaced whole, and it knows no keys.
//
// Of several processes that change it at once each waits for its turn. Where
// folders cannot be locked (Windows) the last one to write wins.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"devproxy/internal/atomicfile"
	"devproxy/internal/folderlock"
)

const fileName = "issued.json"

// keepEnded is how long after its end a certificate is still listed. Nothing
// accepts it by then, revoked or not.
const keepEnded = 90 * 24 * time.Hour

// shortest is how many digits of a serial number name it at least, unless they
// are all it has.
const shortest = 8

// Path returns where the ledger of the state folder dir is.
func Path(dir string) string { return filepath.Join(dir, fileName) }

// An Error says why the ledger cannot be used or changed as asked.
type Error struct {
	Path    string // the file
	Problem string // what is wrong
	Hint    string // the way out, one line, lower case; may be empty
	Err     error  // the cause if it came from the system; may be nil
}

func (e *Error) Error() string {
	return fmt.Sprintf("list of issued certificates %q: %s", e.Path, e.Problem)
}

// Unwrap returns the cause, so that syscall.ENOSPC and the like match.
func (e *Error) Unwrap() error { return e.Err }

// systemError says that doing something with the ledger went wrong. The
// messages of package os repeat the path, so only their cause is shown.
func systemError(path, doing string, err error) *Error {
	return &Error{Path: path, Problem: doing + ": " + atomicfile.Cause(err).Error(), Err: err}
}

// Read returns all entries, oldest first; none if there is no ledger yet. The
// error is an *Error. A ledger that is damaged is one, and stays as it is:
// taken for empty it would bring every revoked certificate back to life.
func Read(dir string) ([]Entry, error) {
	path := Path(dir)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, systemError(path, "read", err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for its writer
		return nil, &Error{Path: path, Problem: "is not a regular file", Hint: restoreHint}
	case info.Size() > maxFile:
		return nil, &Error{Path: path, Problem: fmt.Sprintf("is larger than %d bytes", maxFile), Hint: restoreHint}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, systemError(path, "read", err)
	}
	entries, err := parse(data)
	if e, ok := errors.AsType[*newerError](err); ok {
		return nil, &Error{Path: path, Problem: e.Error(), Hint: "use that one"}
	}
	if err != nil {
		return nil, &Error{Path: path, Problem: err.Error(), Hint: restoreHint}
	}
	return entries, nil
}

// Add records e. When it returns, e is on disk. Entries of certificates that
// ended more than 90 days before e was issued are dropped. The error is an
// *Error, or that of ctx.
//
// Another process that is at work in the folder is waited for until ctx ends;
// waiting, unless it is nil, is called once before that.
func Add(ctx context.Context, dir string, e Entry, waiting func()) error {
	e = e.normal()
	if err := e.check(); err != nil {
		return &Error{Path: Path(dir), Problem: "add: " + err.Error()}
	}
	return change(ctx, dir, waiting, func(entries []Entry) ([]Entry, error) {
		if slices.ContainsFunc(entries, func(o Entry) bool { return o.Serial == e.Serial }) {
			return nil, &Error{Path: Path(dir), Problem: fmt.Sprintf("add: serial number %s is in it already", e.Serial)}
		}
		entries = slices.DeleteFunc(entries, func(o Entry) bool { return o.NotAfter.Add(keepEnded).Before(e.Issued) })
		return append(entries, e), nil
	})
}

// Forget removes the entry of a certificate that was never handed out. An
// entry that is not there is no error; otherwise it is like Add.
func Forget(ctx context.Context, dir, serial string, waiting func()) error {
	return change(ctx, dir, waiting, func(entries []Entry) ([]Entry, error) {
		i := slices.IndexFunc(entries, func(o Entry) bool { return o.Serial == serial })
		if i < 0 {
			return nil, nil
		}
		return slices.Delete(entries, i, i+1), nil
	})
}

// Revoke records that the certificate with a serial number is not to be
// accepted from now on, and returns its entry. A certificate that was revoked
// before keeps the time of that. The serial number may be written as any tool
// prints it, and cut after eight digits if that is still only one; an error
// about it is a *SerialError. Otherwise it is like Add.
func Revoke(ctx context.Context, dir, serial string, now time.Time, waiting func()) (Entry, error) {
	var revoked Entry
	err := change(ctx, dir, waiting, func(entries []Entry) ([]Entry, error) {
		i, err := find(entries, serial)
		if err != nil {
			return nil, err
		}
		changed := entries[i].Revoked.IsZero()
		if changed {
			entries[i].Revoked = now.UTC().Truncate(time.Second)
		}
		revoked = entries[i]
		if !changed {
			return nil, nil
		}
		return entries, nil
	})
	return revoked, err
}

// change replaces the ledger by what edit makes of it, nil being no change.
func change(ctx context.Context, dir string, waiting func(), edit func([]Entry) ([]Entry, error)) error {
	path := Path(dir)
	unlock, err := folderlock.Lock(ctx, dir, waiting)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return systemError(path, "open the folder", err)
	}
	defer unlock()
	entries, err := Read(dir)
	if err != nil {
		return err
	}
	entries, err = edit(entries)
	if err != nil || entries == nil {
		return err
	}
	data, err := encode(entries)
	if err != nil {
		return &Error{Path: path, Problem: err.Error(), Hint: "move it away: what it says of revoked certificates is forgotten with it, so replace the CA, too"}
	}
	_ = atomicfile.Sweep(dir) // a left-over does no harm
	if err := atomicfile.Replace(path, data, 0o600); err != nil {
		return systemError(path, "write", err)
	}
	return nil
}

// A SerialError says why a serial number names no certificate.
type SerialError struct {
	Serial string  // as it was written
	Fits   []Entry // several that begin with it, or none
	Short  bool    // it has too few digits to look for
	Bad    bool    // it is not hexadecimal
}

func (e *SerialError) Error() string {
	switch {
	case e.Bad:
		return fmt.Sprintf("serial number %q is not a hexadecimal number", e.Serial)
	case e.Short:
		return fmt.Sprintf("serial number %q is too short: give at least %d digits", e.Serial, shortest)
	case len(e.Fits) == 0:
		return fmt.Sprintf("no certificate with serial number %q was issued here", e.Serial)
	}
	var all []string
	for _, o := range e.Fits {
		all = append(all, fmt.Sprintf("%s (%s)", o.Serial, strings.Join(o.Names, ", ")))
	}
	return fmt.Sprintf("serial number %q is the beginning of several: %s", e.Serial, strings.Join(all, "; "))
}

// find returns the index of the entry that a serial number as a person gives
// it means.
func find(entries []Entry, given string) (int, error) {
	serial, digits := normalSerial(given)
	if serial == "" {
		return 0, &SerialError{Serial: given, Bad: true}
	}
	var at []int
	for i, e := range entries {
		if e.Serial == serial {
			return i, nil
		}
		if strings.HasPrefix(e.Serial, serial) {
			at = append(at, i)
		}
	}
	switch {
	case digits < shortest:
		return 0, &SerialError{Serial: given, Short: true}
	case len(at) == 1:
		return at[0], nil
	}
	e := &SerialError{Serial: given}
	for _, i := range at {
		e.Fits = append(e.Fits, entries[i])
	}
	return 0, e
}

// normalSerial returns a serial number as entries have it, "" if it is none, and
// how many digits were given: "0x0A:1b" is a1b of four digits. openssl x509
// writes a zero before an odd number of digits, and "serial=" before all.
func normalSerial(given string) (serial string, digits int) {
	s := strings.ToLower(strings.TrimSpace(given))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "serial="), "0x")
	s = strings.ReplaceAll(s, ":", "")
	if strings.Trim(s, hexDigits) != "" {
		return "", 0
	}
	return strings.TrimLeft(s, "0"), len(s)
}

// Short returns the beginnings by which the serial numbers of entries can be
// told apart, all of one length where they are long enough, in their order.
// Revoke takes them.
func Short(entries []Entry) []string {
	digits := shortest
	sorted := make([]string, 0, len(entries))
	for _, e := range entries {
		sorted = append(sorted, e.Serial)
	}
	slices.Sort(sorted)
	for i := 1; i < len(sorted); i++ {
		same := 0
		for same < min(len(sorted[i-1]), len(sorted[i])) && sorted[i-1][same] == sorted[i][same] {
			same++
		}
		digits = max(digits, same+1)
	}
	short := make([]string, 0, len(entries))
	for _, e := range entries {
		short = append(short, e.Serial[:min(digits, len(e.Serial))])
	}
	return short
}
