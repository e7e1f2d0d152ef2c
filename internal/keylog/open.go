package keylog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
)

// A refusal says why a file is not written to.
type refusal struct{ problem, hint string }

func (r *refusal) Error() string { return r.problem }

// open opens a log for appending, or makes one that nobody else can read. It
// follows no link and waits for no reader of a pipe, and does not open what is
// not a file of ours: a device may act on that alone.
func open(path string) (*os.File, error) {
	before, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := check(before); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|openFlags, 0)
	if err != nil {
		return nil, err
	}
	// What was opened may be another by now.
	info, err := file.Stat()
	if err == nil {
		err = check(info)
	}
	if err == nil && !os.SameFile(before, info) {
		err = &refusal{"it was replaced while it was opened", "see who else writes in its folder"}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// check fails unless the file is a regular one of ours that is closed to others.
// It is not closed for them here: whoever has opened it before could go on
// reading.
func check(info fs.FileInfo) error {
	const another = "name another file"
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return &refusal{"it is a link", "name the file itself"}
	case !info.Mode().IsRegular():
		return &refusal{"it is not a regular file", another}
	case !ours(info):
		return &refusal{"it belongs to another user", another}
	case openToOthers(info):
		return &refusal{
			fmt.Sprintf("others may read or write it (mode %04o)", info.Mode().Perm()),
			"delete it and a new one is made, or run chmod 600 on it",
		}
	}
	return nil
}

// headSize is how much of a file is looked at, in bytes: hundreds of lines.
const headSize = 64 << 10

var (
	// keyLine is a whole line: a label, the client's random bytes (in the RSA
	// form, of a premaster secret), and a secret.
	keyLine = regexp.MustCompile(`^[A-Z][A-Z0-9_]* [0-9A-Fa-f]{16,} [0-9A-Fa-f]{16,}$`)

	// tornLine is what is left of one where a disk was full.
	tornLine = regexp.MustCompile(`^[A-Z][A-Z0-9_]*( [0-9A-Fa-f]*){0,2}$`)
)

// nssHeader begins the files of browsers, also while they have no line yet.
const nssHeader = "# SSL/TLS secrets log file"

// examine fails unless a file of that size in bytes is empty or a key log, which
// browsers may write to as well. It reports whether the last line lacks its end.
func examine(file io.ReaderAt, size int64) (torn bool, err error) {
	if size == 0 {
		return false, nil
	}
	head := make([]byte, min(size, headSize))
	if _, err := file.ReadAt(head, 0); err != nil {
		return false, err
	}
	if !isKeyLog(head) {
		return false, &refusal{"it holds something else than TLS secrets", "name another file, or delete this one if you do not need it"}
	}
	last := make([]byte, 1)
	_, err = file.ReadAt(last, size-1)
	return last[0] != '\n', err
}

// isKeyLog reports whether a text is the beginning of a key log. It may end in
// the middle of a line.
func isKeyLog(head []byte) bool {
	found := false
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case keyLine.Match(line), bytes.HasPrefix(line, []byte(nssHeader)):
			found = true
		case len(line) == 0, line[0] == '#', tornLine.Match(line):
		default:
			return false
		}
	}
	return found
}
