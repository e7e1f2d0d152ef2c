// Package atomicfile puts whole files in place: a reader sees the old content
// or the new, never a part, and a crash at any moment leaves one of the two.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// tempPrefix begins the name of every temporary file. A process killed at the
// wrong moment leaves one behind; Sweep removes it.
const tempPrefix = ".devproxy-tmp-"

// sweepAge is how old a temporary file must be before Sweep takes it for a
// left-over: writing one takes milliseconds.
const sweepAge = time.Minute

// Replace puts data at path, in place of whatever file is there, with mode
// perm whatever the umask.
func Replace(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, os.Rename)
}

// Create puts data at path, with mode perm whatever the umask, unless
// something is there already: then it changes nothing and the error matches
// fs.ErrExist. Of several processes that create one path at once, exactly one
// succeeds. The file system must have hard links.
func Create(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, func(temp, path string) error {
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

func write(path string, data []byte, perm fs.FileMode, place func(temp, path string) error) error {
	temp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	if err := place(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// writeTemp puts data, synced, into a new file beside path.
func writeTemp(path string, data []byte, perm fs.FileMode) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	// CreateTemp makes files 0600, so nobody reads a secret before this.
	if err := f.Chmod(perm); err != nil && runtime.GOOS != "windows" {
		return "", err
	}
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return f.Name(), nil
}

// SyncDir makes a new name in dir survive a power cut. Windows cannot open
// folders for that and does not need it.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// Sweep removes temporary files that killed processes left in dir more than a
// minute ago.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its writer was not dead after all
		}
		if err == nil && time.Since(info.ModTime()) > sweepAge {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Cause returns what the system said, without the path, which the messages of
// package os repeat and which may be that of a temporary file.
func Cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
