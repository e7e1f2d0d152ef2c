package static

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
)

// A refusal is an answer without a file. Its line tells nothing about where
// on the machine the folder is.
type refusal struct {
	status int
	line   string // without the "devproxy: " in front
}

func (r refusal) Error() string { return r.line }

func missing() refusal {
	return refusal{http.StatusNotFound, "the folder of this route has no such file"}
}

// needsSlash is the error for a folder that was asked for like a file.
type needsSlash struct{}

func (needsSlash) Error() string { return "is a folder" }

// open opens the regular file that is the answer for name: itself or, if it
// was asked for as a folder, its index.html. The root is closed again on
// return: on Windows an open folder cannot be deleted.
func (f *folder) open(name string, asFolder bool) (*os.File, fs.FileInfo, error) {
	// The separator has the system refuse whatever is not a folder before
	// opening it: to open a FIFO would block.
	root, err := os.OpenRoot(f.dir + string(filepath.Separator))
	if err != nil {
		if r := refusalOf(err); r.status != http.StatusNotFound {
			return nil, nil, r
		}
		return nil, nil, refusal{http.StatusNotFound, "the folder of this route does not exist; build what it serves, or mend the route"}
	}
	defer root.Close()

	info, err := root.Stat(name)
	switch {
	case err != nil:
		return nil, nil, err
	case info.IsDir() && !asFolder:
		return nil, nil, needsSlash{}
	case info.IsDir():
		name = filepath.Join(name, "index.html")
		info, err = root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			return nil, nil, refusal{http.StatusNotFound, "this folder has no index.html"}
		}
		if err != nil {
			return nil, nil, err
		}
	case asFolder:
		return nil, nil, missing()
	}
	if !info.Mode().IsRegular() {
		return nil, nil, missing()
	}
	// By now something else may be there, which openFlags keep from blocking.
	file, err := root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = missing()
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// refusalOf says in an answer why a file could not be opened.
func refusalOf(err error) refusal {
	errno, fromSystem := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, fs.ErrNotExist), fromSystem && absent(errno):
		return missing()
	case errors.Is(err, fs.ErrPermission):
		return refusal{http.StatusForbidden, "no permission to read this file"}
	case !fromSystem:
		// os.Root refused by itself, and names come here without "..".
		return refusal{http.StatusNotFound, "not followed: a symbolic link that leads out of the folder of this route, or is absolute"}
	case exhausted(errno):
		return refusal{http.StatusServiceUnavailable, "too many open files; try again, or raise the limit (ulimit -n)"}
	default:
		return refusal{http.StatusInternalServerError, "this file cannot be read: " + errno.Error()}
	}
}
