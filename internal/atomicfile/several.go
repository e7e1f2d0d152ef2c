package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A File is a file to be put in place.
type File struct {
	Path string
	Data []byte
	Perm fs.FileMode // whatever the umask
}

// CreateAll puts all files in place or none of them. All are written and synced
// beside their places before the first name appears, so that a full disk
// changes nothing. If something is at one of the paths already, a symbolic link
// included, nothing is changed and the error matches fs.ErrExist.
//
// The error is an *fs.PathError with the path of the file that it is about. A
// process killed between two names leaves those that it has made, each whole.
// Where the file system has no hard links, it may leave an empty file as well.
func CreateAll(files []File) error {
	for _, f := range files {
		if _, err := os.Lstat(f.Path); err == nil {
			return pathError("create", f.Path, fs.ErrExist)
		}
	}
	return putAll("create", files, func(s *staged) error { return s.link(os.Link) })
}

// ReplaceAll puts files in place of whatever is there, except folders; a
// symbolic link is replaced itself, not followed. All are written and synced
// beside their places before the first name changes, so that a full disk or a
// folder in the way changes nothing.
//
// The error is an *fs.PathError with the path of the file that it is about.
// Names change one after the other, and the system offers no better: after a
// crash, or an error, between two of them the earlier files are new and the
// later ones old, each whole. To call it again mends that.
func ReplaceAll(files []File) error {
	for _, f := range files {
		if info, err := os.Lstat(f.Path); err == nil && info.IsDir() {
			return pathError("replace", f.Path, syscall.EISDIR)
		}
	}
	return putAll("replace", files, (*staged).rename)
}

// A staged file lies complete beside its place.
type staged struct {
	File
	temp   string
	info   fs.FileInfo // of temp, to know the file again
	placed bool        // at Path, to be taken away if a later one fails
}

func putAll(op string, files []File, place func(*staged) error) (err error) {
	if err := checkDistinct(op, files); err != nil {
		return err
	}
	var all []*staged
	defer func() {
		for _, s := range all {
			if err != nil && s.placed {
				s.takeAway()
			}
			os.Remove(s.temp) // gone already if it was renamed
		}
	}()
	for _, f := range files {
		// A killed process may have left a key in this folder.
		_ = Sweep(filepath.Dir(f.Path))
		s, err := stage(f)
		if err != nil {
			return pathError(op, f.Path, err)
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := place(s); err != nil {
			return pathError(op, s.Path, err)
		}
	}
	synced := make(map[string]bool)
	for _, f := range files {
		dir := filepath.Dir(f.Path)
		if synced[dir] {
			continue
		}
		if err := SyncDir(dir); err != nil {
			return pathError(op, f.Path, err)
		}
		synced[dir] = true
	}
	return nil
}

func stage(f File) (*staged, error) {
	temp, err := writeTemp(f.Path, f.Data, f.Perm)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(temp)
	if err != nil {
		os.Remove(temp)
		return nil, err
	}
	return &staged{File: f, temp: temp, info: info}, nil
}

func (s *staged) rename() error { return os.Rename(s.temp, s.Path) }

// link gives s its name by link, which is os.Link. Shared folders of virtual
// machines and USB sticks have no hard links: there an empty file takes the
// name first.
func (s *staged) link(link func(from, to string) error) error {
	err := link(s.temp, s.Path)
	if err == nil {
		s.placed = true
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	f, holdErr := os.OpenFile(s.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(holdErr, fs.ErrExist) {
		return holdErr
	}
	if holdErr != nil {
		return err
	}
	f.Close()
	if err := os.Rename(s.temp, s.Path); err != nil {
		os.Remove(s.Path)
		return err
	}
	s.placed = true
	return nil
}

// takeAway removes s from its place, unless somebody has put another file
// there meanwhile.
func (s *staged) takeAway() {
	if info, err := os.Lstat(s.Path); err == nil && os.SameFile(info, s.info) {
		os.Remove(s.Path)
	}
}

// checkDistinct fails if two of files have one path, however it is spelt.
func checkDistinct(op string, files []File) error {
	type place struct {
		dir  fs.FileInfo
		base string
	}
	var places []place
	for _, f := range files {
		dir, err := os.Stat(filepath.Dir(f.Path))
		if err != nil {
			return pathError(op, f.Path, err)
		}
		base := filepath.Base(f.Path)
		for _, p := range places {
			if p.base == base && os.SameFile(p.dir, dir) {
				return pathError(op, f.Path, errors.New("named twice"))
			}
		}
		places = append(places, place{dir, base})
	}
	return nil
}

// pathError says that err befell path: the errors of temporary files name
// those, which nobody knows.
func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: Cause(err)}
}
