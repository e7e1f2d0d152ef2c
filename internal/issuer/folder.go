package issuer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds ca.pem, in bytes: one is about 3 KB, and each domain adds a
// few dozen.
const maxFile = 64 << 10

// readPrivate returns the content of path, a regular file that is ours and
// that nobody else can read or write. It never follows a symbolic link there.
func readPrivate(path string) ([]byte, error) {
	f, err := openItself(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, readError(path, err)
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(data) > maxFile {
		return nil, tooLarge(path) // it has grown since
	}
	return data, nil
}

// openItself opens path after having looked at it: opening a named pipe would
// block, and opening a link would lead elsewhere.
func openItself(path string) (*os.File, error) {
	// A rotation in between puts another file there. More than a few in a row
	// are none.
	for range 10 {
		info, err := os.Lstat(path)
		if err != nil {
			return nil, readError(path, err)
		}
		if err := checkFile(path, info); err != nil {
			return nil, err
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, readError(path, err)
		}
		opened, err := f.Stat()
		if err == nil && os.SameFile(info, opened) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, readError(path, err)
		}
	}
	return nil, &Error{Path: path, Problem: "is replaced again and again while it is read"}
}

func checkFile(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return &Error{Path: path, Problem: "is a symbolic link", Hint: "put the file itself in its place, or make a new CA with ca rotate and trust it", Rotate: true}
	case !mode.IsRegular():
		return &Error{Path: path, Problem: "is not a regular file", Hint: rotateHint, Rotate: true}
	case info.Size() > maxFile:
		return tooLarge(path)
	}
	return checkPrivate(path, info)
}

func tooLarge(path string) error {
	return &Error{
		Path:    path,
		Problem: fmt.Sprintf("is larger than %d KiB", maxFile>>10),
		Hint:    rotateHint,
		Rotate:  true,
	}
}

func readError(path string, err error) error {
	e := systemError(path, "read", err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Problem = "there is none yet"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "make it readable for you and nobody else, or make a new CA with ca rotate and trust it"
		e.Rotate = true
	}
	return e
}
