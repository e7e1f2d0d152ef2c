package issuer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"devproxy/internal/atomicfile"
)

// ca.pem holds everything; root.pem repeats the public part of it, for the
// programs that are pointed to it.
const (
	caFile   = "ca.pem"
	rootFile = "root.pem"
)

const rotateHint = "restore the file from a backup, or make a new CA with ca rotate and trust it again"

// Path returns where the CA of the state folder dir is kept, its key included.
func Path(dir string) string { return filepath.Join(dir, caFile) }

// RootPath returns where the root of the CA in dir is published as PEM. The
// path stays the same when the CA is rotated.
func RootPath(dir string) string { return filepath.Join(dir, rootFile) }

// An Error says why the CA or its folder cannot be used, and what to do.
type Error struct {
	Path    string // the file or folder that it is about
	Problem string // what is wrong with it
	Hint    string // the way out, one line, lower case; may be empty
	Rotate  bool   // rotating the CA is a way out
	Err     error  // the cause if it came from the system; may be nil
}

func (e *Error) Error() string { return fmt.Sprintf("CA %q: %s", e.Path, e.Problem) }

// Unwrap returns the cause, so that fs.ErrNotExist and the like match.
func (e *Error) Unwrap() error { return e.Err }

// systemError says that doing something with path went wrong. The messages of
// package os repeat the path, so only their cause is shown.
func systemError(path, doing string, err error) *Error {
	return &Error{Path: path, Problem: doing + ": " + atomicfile.Cause(err).Error(), Err: err}
}

// Load reads the CA in the state folder dir, which is locked if its key has a
// passphrase. It writes nothing. The error is an *Error and matches
// fs.ErrNotExist if there is no CA.
//
// A CA that is damaged, expired or not ours alone is an error and is left as
// it is: people trust its root.
func Load(dir string) (*CA, error) {
	s, err := newStore(dir)
	if err != nil {
		return nil, err
	}
	return s.load()
}

// LoadOrCreate reads the CA in dir. If there is none it makes one for
// NewConstraints(domains), with the folder, and reports that it did. Of several
// processes that do so at once, one creates the CA and all return it. It also
// brings root.pem in line.
//
// A CA that is there is returned whatever it permits: whether it permits
// domains is for Constraints.Missing to say. Otherwise errors are as for Load.
func LoadOrCreate(dir string, domains []string) (ca *CA, created bool, err error) {
	s, err := newStore(dir)
	if err != nil {
		return nil, false, err
	}
	return s.loadOrCreate(domains)
}

// Publish brings root.pem in line with the CA in dir, and returns that as Load
// does. Unlike LoadOrCreate it makes none, whatever has happened to one that was
// loaded before.
func Publish(dir string) (*CA, error) {
	s, err := newStore(dir)
	if err != nil {
		return nil, err
	}
	ca, err := s.load()
	if err != nil {
		return nil, err
	}
	return s.publish(ca)
}

// PrepareFolder makes the state folder dir, with mode 0700, if it is missing.
// It fails unless the folder is ours alone and nobody else can replace it, so
// that what is put there, by us or for a command that runs as root, stays what
// it is. The error is an *Error.
func PrepareFolder(dir string) error {
	s, err := newStore(dir)
	if err != nil {
		return err
	}
	return s.prepare()
}

// CheckFolder is PrepareFolder for those who only read: it makes nothing, and
// its error matches fs.ErrNotExist if there is no folder.
func CheckFolder(dir string) error {
	s, err := newStore(dir)
	if err != nil {
		return err
	}
	return checkFolder(s.dir)
}

// A store is a state folder. Reading and creating need no lock: each file is
// put in place whole, and whoever writes root.pem looks at ca.pem once more
// afterwards. Only rotations, which take their time between two files, take
// turns (Pending).
type store struct {
	dir string // absolute

	// From package atomicfile; tests put failures in their place.
	create  func(path string, data []byte, perm fs.FileMode) error
	replace func(path string, data []byte, perm fs.FileMode) error
	rename  func(from, to string) error // from package os, likewise
}

func newStore(dir string) (store, error) {
	if dir == "" {
		return store{}, &Error{Problem: "there is no folder to keep it in"}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return store{}, systemError(dir, "find the folder", err)
	}
	return store{dir: abs, create: atomicfile.Create, replace: atomicfile.Replace, rename: os.Rename}, nil
}

func (s store) load() (*CA, error) {
	ca, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := ca.checkTime(wallClock()); err != nil {
		return nil, &Error{
			Path:    Path(s.dir),
			Problem: err.Error(),
			Hint:    "unless the clock is wrong, make a new CA with ca rotate and trust it",
			Rotate:  true,
		}
	}
	return ca, nil
}

// read is load without a look at the clock.
func (s store) read() (*CA, error) {
	if err := checkFolder(s.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, readError(Path(s.dir), err)
	} else if err != nil {
		return nil, err
	}
	data, err := readPrivate(Path(s.dir))
	if err != nil {
		return nil, err
	}
	ca, err := parse(data)
	if err != nil {
		return nil, &Error{Path: Path(s.dir), Problem: err.Error(), Hint: rotateHint, Rotate: true}
	}
	return ca, nil
}

func (s store) loadOrCreate(domains []string) (ca *CA, created bool, err error) {
	if err := s.prepare(); err != nil {
		return nil, false, err
	}
	ca, err = s.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = s.put(s.create, Path(s.dir), NewConstraints(domains), nil)
		created = err == nil
		if created || errors.Is(err, fs.ErrExist) {
			ca, err = s.load()
		}
	}
	if err != nil {
		return nil, false, err
	}
	ca, err = s.publish(ca)
	if err != nil {
		return nil, false, err
	}
	return ca, created, nil
}

// prepare makes the folder if it is missing and fails unless it is ours alone.
func (s store) prepare() error {
	// What exists of the path is looked at first, so that nothing is made in a
	// place that others rule.
	if err := checkFolder(s.dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return systemError(s.dir, "create the folder", err)
		}
		if err := checkFolder(s.dir); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	// A left-over that cannot be removed is as private as ca.pem and may wait
	// for the next start; it is no reason not to serve.
	_ = atomicfile.Sweep(s.dir)
	return nil
}

// put makes a new CA, with a passphrase unless that is empty, and writes it to
// path by write.
func (s store) put(write func(string, []byte, fs.FileMode) error, path string, constraints Constraints, passphrase []byte) error {
	data, err := encodeNew(constraints, passphrase)
	if err != nil {
		return &Error{Path: path, Problem: "create: " + err.Error()}
	}
	if err := write(path, data, 0o600); err != nil {
		e := systemError(path, "write", err)
		if _, ok := errors.AsType[*os.LinkError](err); ok &&
			(errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)) {
			e.Problem += " (its file system seems to have no hard links)"
			e.Hint = "keep the state folder on another file system"
		}
		return e
	}
	return nil
}

// encodeNew returns the content of a new ca.pem.
func encodeNew(constraints Constraints, passphrase []byte) ([]byte, error) {
	ca, err := newCA(constraints, time.Now())
	if err != nil {
		return nil, err
	}
	if ca, err = ca.seal(passphrase); err != nil {
		return nil, err
	}
	data, _, err := ca.encodeChecked()
	return data, err
}

// encodeChecked is encode, having read the result back: a file that the next
// start refuses must not be written.
func (ca *CA) encodeChecked() (data []byte, back *CA, err error) {
	if data, err = ca.encode(); err != nil {
		return nil, nil, err
	}
	if len(data) > maxFile {
		return nil, nil, errors.New("too many domains")
	}
	if back, err = parse(data); err != nil {
		return nil, nil, err
	}
	return data, back, nil
}

// publish brings root.pem in line with ca.pem, which holds ca unless another
// process has rotated it since, and returns the CA that both hold.
//
// After writing it looks at ca.pem again. So the last of several processes to
// write root.pem has either seen the final ca.pem, or goes round once more. A
// process killed in between leaves an old root.pem to the next LoadOrCreate.
func (s store) publish(ca *CA) (*CA, error) {
	path := RootPath(s.dir)
	for {
		want := ca.rootPEM()
		if holds(path, want) {
			return ca, nil
		}
		if err := s.replace(path, want, 0o644); err != nil {
			return nil, systemError(path, "write", err)
		}
		now, err := s.load()
		if err != nil {
			return nil, err
		}
		ca = now
	}
}

// holds reports whether path is a regular file with content want.
func holds(path string, want []byte) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(want)) {
		return false
	}
	have, err := os.ReadFile(path)
	return err == nil && bytes.Equal(have, want)
}

// keepAside gives what is at ca.pem a second name, so that replacing it loses
// nothing. Where there can be no second name (a folder) it gets a new one.
func (s store) keepAside() error {
	path := Path(s.dir)
	aside := path + ".bad-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	info, err := os.Lstat(path)
	if err == nil && os.Link(path, aside) != nil {
		err = os.Rename(path, aside)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process is doing the same
	}
	if err != nil {
		return systemError(path, "keep it aside", err)
	}
	// It may hold a key. Somebody else's file stays as it is, in our folder.
	if info.Mode().IsRegular() && ours(info) {
		if err := os.Chmod(aside, 0o600); err != nil {
			return systemError(aside, "make it private", err)
		}
	}
	return nil
}
