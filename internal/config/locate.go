package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fileName is the name under which the file is looked for.
const fileName = "devproxy.toml"

// A Search says where to look for the file.
type Search struct {
	Dir        string // start here and go up; absolute
	Home       string // look here, but not above; "" is no such limit
	ConfigHome string // then look in its folder devproxy; "" is nowhere
	UID        int    // trust the files and folders of this user; -1 trusts any, for systems without owners
}

// Found is the outcome of a search.
type Found struct {
	// Path is the file; "" when there is none.
	Path string

	// Candidates are the places where a file would be taken, the one preferred
	// to all others first. A file that appears in one of them, or vanishes from
	// it, may change the outcome.
	Candidates []string

	// Skipped are files that are there but are not taken.
	Skipped []Skip
}

// A Skip is a file that was not taken, and why.
type Skip struct {
	Path   string
	Reason string
}

// Locate looks for the file in Dir and its parents, and then in ConfigHome.
//
// It goes up no further than Home, and no further than folders in which only
// the user may put files: whoever writes the file decides where the user's
// requests go. (A folder that a group may write is taken for the user's own if
// the group has the user's number: such groups have one member.) A file is
// taken only if it is Trusted.
//
// An error says that Dir cannot be searched at all.
func (s Search) Locate() (Found, error) {
	var found Found
	if !filepath.IsAbs(s.Dir) {
		return found, fmt.Errorf("look for %s: %q is not an absolute path", fileName, s.Dir)
	}
	if _, err := os.Stat(s.Dir); err != nil {
		return found, fmt.Errorf("look for %s: %w", fileName, err)
	}
	home, homeErr := os.Stat(s.Home)
	for dir := filepath.Clean(s.Dir); ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, fileName)
		info, err := os.Stat(dir)
		if err != nil {
			break
		}
		if reason := s.distrust(info); reason != "" {
			if _, err := os.Lstat(path); err == nil {
				found.Skipped = append(found.Skipped, Skip{path, "the folder " + reason})
			}
			break
		}
		found.consider(s, path)
		if homeErr == nil && os.SameFile(info, home) || filepath.Dir(dir) == dir {
			break
		}
	}
	if s.ConfigHome != "" {
		found.consider(s, filepath.Join(s.ConfigHome, "devproxy", fileName))
	}
	return found, nil
}

// consider takes the file at path if it is one and none was taken before.
func (f *Found) consider(s Search, path string) {
	for _, known := range f.Candidates {
		if known == path {
			return // the search started in ConfigHome
		}
	}
	f.Candidates = append(f.Candidates, path)
	if f.Path != "" {
		return
	}
	reason := ""
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err != nil {
			return
		}
		reason = "it is a link to a file that does not exist"
	case err != nil:
		reason = "it cannot be read: " + pathError(err).Error()
	case !info.Mode().IsRegular():
		reason = "it is not a regular file"
	default:
		if reason, err = s.distrustFile(path); err != nil {
			reason = "it cannot be read: " + pathError(err).Error()
		}
		if reason == "" {
			f.Path = path
			return
		}
	}
	f.Skipped = append(f.Skipped, Skip{path, reason})
}

// Trusted fails unless only the user may change the file at path: the file is
// the user's and closed to the writing of others, and so is the folder it lies
// in; for a link that holds for both ends. Locate applies the same rule, but a
// file may change hands afterwards: ask again before each ReadFileAs of a file
// that Locate found. A file that the user named needs no such question.
//
// The error is an *Error, or one of the file system, which can be matched
// (fs.ErrNotExist, fs.ErrPermission).
func (s Search) Trusted(path string) error {
	reason, err := s.distrustFile(path)
	switch {
	case err != nil:
		return fmt.Errorf("read %q: %w", path, pathError(err))
	case reason != "":
		e := fault("make it a file that nobody else can change and save it again or, if you trust it, name it with --config", "the file is not used: %s", reason)
		e.File = path
		return e.tidy()
	}
	return nil
}

// distrustFile returns why the file at path is not to be read, or "".
func (s Search) distrustFile(path string) (reason string, err error) {
	if s.UID < 0 {
		return "", nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	file, folder := "it", "the folder"
	if info.Mode()&fs.ModeSymlink != 0 {
		file = fmt.Sprintf("it is a link to %q, which", target)
		folder = fmt.Sprintf("it is a link into the folder %q, which", filepath.Dir(target))
	}
	for _, part := range []struct{ path, name string }{
		{filepath.Dir(path), "the folder"},
		{target, file},
		{filepath.Dir(target), folder},
	} {
		info, err := os.Stat(part.path)
		if err != nil {
			return "", err
		}
		if reason := s.distrust(info); reason != "" {
			return part.name + " " + reason, nil
		}
	}
	return "", nil
}

// pathError returns the cause of an error without the path, which the reader
// knows.
func pathError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// distrust returns why a file, or the files of a folder, are not to be read, or
// "".
func (s Search) distrust(info fs.FileInfo) string {
	if s.UID < 0 {
		return ""
	}
	uid, gid, ok := owner(info)
	switch mode := info.Mode().Perm(); {
	case !ok:
		return ""
	case uid != s.UID && uid != 0: // root could change anything anyway
		return "belongs to another user"
	case mode&0o002 != 0:
		return "can be written by everybody"
	case mode&0o020 != 0 && gid != uid:
		return "can be written by a group"
	}
	return ""
}
