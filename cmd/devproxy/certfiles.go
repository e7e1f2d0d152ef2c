package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"devproxy/internal/atomicfile"
	"devproxy/internal/hostname"
)

const (
	privatePerm = 0o600 // keys, and what comes with one
	publicPerm  = 0o644
)

// The flags that name files with a private key in them.
const (
	keyFileFlag = "key-file"
	p12FileFlag = "p12-file"
)

// A certOutput is one file that a cert command writes.
type certOutput struct {
	flag string // that names it
	path string // as it was given or derived
	what string // what is in it, for people
	perm fs.FileMode
	data []byte
}

// certOutputs are all files of one command: they are put in place together or
// not at all.
type certOutputs struct {
	files []*certOutput
	force bool
}

// add plans a file. given is what its flag says, "" takes the usual name.
func (o *certOutputs) add(flag, given, usual, what string, perm fs.FileMode) *certOutput {
	path := given
	if path == "" {
		path = usual
	}
	f := &certOutput{flag: flag, path: path, what: what, perm: perm}
	o.files = append(o.files, f)
	return f
}

// check fails if the files cannot be put in place, as far as that is to be
// seen before anything is asked or made. input is a file that must stay, state
// the folder of the CA; both may be "".
func (o *certOutputs) check(input, state string) error {
	taken := make(map[string]*certOutput)
	for _, f := range o.files {
		if f.path == stdinName {
			return withHint(usagef("--%s %s: it takes a file only", f.flag, f.path), "./%s is a file of that name", f.path)
		}
		place, err := o.place(f)
		if err != nil {
			return err
		}
		if other := taken[place]; other != nil {
			return usagef("--%s and --%s are one file, %s", other.flag, f.flag, f.path)
		}
		taken[place] = f
		if state != "" && within(f.path, state) {
			return withHint(usagef("write %s: that is devproxy's own folder", f.path), "name another file with --%s", f.flag)
		}
		if err := o.checkFree(f, input); err != nil {
			return err
		}
	}
	return nil
}

// place returns one spelling for each place a file can have.
func (o *certOutputs) place(f *certOutput) (string, error) {
	abs, err := filepath.Abs(f.path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", f.problem(err)
	}
	place := filepath.Join(dir, filepath.Base(abs))
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		place = strings.ToLower(place) // as their file systems do
	}
	return place, nil
}

// within reports whether path lies in dir or below it, however both are spelt.
func within(path, dir string) bool {
	own, err := os.Stat(dir)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	above, err := filepath.EvalSymlinks(filepath.Dir(path))
	for ; err == nil; above = filepath.Dir(above) {
		if info, err := os.Stat(above); err == nil && os.SameFile(info, own) {
			return true
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	return false
}

// checkFree fails if something is at the path that may not be replaced.
func (o *certOutputs) checkFree(f *certOutput, input string) error {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(f.path, string(filepath.Separator)) {
		return nil
	}
	if err != nil {
		return f.problem(err)
	}
	if input != "" {
		if in, err := os.Stat(input); err == nil && os.SameFile(in, info) {
			return withHint(usagef("write %s: that is the file that is read", f.path), "name another file with --%s", f.flag)
		}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return withHint(fmt.Errorf("write %s: it is a folder", f.path), "name a file in it with --%s", f.flag)
	case mode.IsRegular() && !f.hasKey() && holdsKey(f.path):
		return withHint(fmt.Errorf("write %s: it exists already, and holds a private key", f.path), "name another file with --%s", f.flag)
	case !o.force:
		return f.problem(fs.ErrExist)
	case !mode.IsRegular() && mode&fs.ModeSymlink == 0:
		return withHint(fmt.Errorf("write %s: it is not a regular file", f.path), "name another file with --%s", f.flag)
	}
	return nil
}

// hasKey reports whether a private key is to be in the file.
func (f *certOutput) hasKey() bool { return f.flag == keyFileFlag || f.flag == p12FileFlag }

// holdsKey reports whether there is a private key in a file. Many a tutorial
// has the key in shop.pem when it makes shop.csr, whose certificate would be
// called the same.
func holdsKey(path string) bool {
	data, err := readFile(path)
	return err == nil && bytes.Contains(data, []byte("PRIVATE KEY-----"))
}

// put writes the files.
func (o *certOutputs) put() error {
	var files []atomicfile.File
	for _, f := range o.files {
		files = append(files, atomicfile.File{Path: f.path, Data: f.data, Perm: f.perm})
	}
	put := atomicfile.CreateAll
	if o.force {
		put = atomicfile.ReplaceAll
	}
	err := put(files)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		for _, f := range o.files {
			if f.path == e.Path {
				return f.problem(err)
			}
		}
	}
	if err != nil {
		return o.files[0].problem(err)
	}
	return nil
}

// inPlace returns a file that is there as it was to be put, "" if none is.
func (o *certOutputs) inPlace() string {
	for _, f := range o.files {
		if have, err := os.ReadFile(f.path); err == nil && bytes.Equal(have, f.data) {
			return f.path
		}
	}
	return ""
}

// problem says why a file cannot be written and what to do.
func (f *certOutput) problem(err error) error {
	another := fmt.Sprintf("name another file with --%s", f.flag)
	dir := filepath.Dir(f.path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return withHint(fmt.Errorf("write %s: it exists already", f.path), "--force replaces it; or %s", another)
	case errors.Is(err, fs.ErrNotExist):
		return withHint(fmt.Errorf("write %s: there is no folder %s", f.path, dir), "make it, or %s", another)
	}
	wrapped := fmt.Errorf("write %s: %w", f.path, atomicfile.Cause(err))
	if hint := storageHint(err); hint != "" {
		return withHint(wrapped, "%s, or %s", hint, another)
	}
	return withHint(wrapped, "%s", another)
}

// storageHint is the first half of a hint for what a disk refuses, "" for
// anything else.
func storageHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "let yourself write there"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space there"
	}
	return ""
}

// rows returns the files and what is in them as rows of a table.
func (o *certOutputs) rows() (rows [][]cell) {
	for _, f := range o.files {
		rows = append(rows, []cell{{f.path, bold}, {f.what, ""}})
	}
	return rows
}

// serverBase returns how the names of the files for a host name begin.
func serverBase(name string) string {
	if addr, err := netip.ParseAddr(name); err == nil {
		if !addr.Is6() {
			return addr.String()
		}
		base := strings.ReplaceAll(addr.WithZone("").String(), ":", "-")
		if base[0] == '-' {
			return "ip" + base
		}
		return "ip-" + base
	}
	below, wildcard := strings.CutPrefix(name, "*.")
	if normal, err := hostname.Normalize(below); err == nil {
		below = normal
	}
	if wildcard {
		return "_wildcard." + fileWord(below)
	}
	return clientBase(below)
}

// clientBase returns how the names of the files for a client begin: never like
// an option, a hidden file or a path.
func clientBase(name string) string {
	base := fileWord(name)
	if base == "" || base[0] == '.' || base[0] == '-' {
		base = "_" + strings.TrimLeft(base, ".-")
	}
	return base
}

// fileWord replaces what a shell or a file system may take for something else.
func fileWord(name string) string {
	word := []byte(name)
	for i, c := range word {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("@._-", c) >= 0:
		default:
			word[i] = '_'
		}
	}
	return string(word)
}
