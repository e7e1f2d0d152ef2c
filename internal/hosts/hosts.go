// Package hosts keeps one marked block in a hosts file, with both loopback
// addresses for each routed name: outside browsers and curl nothing resolves
// *.localhost (clients.md §8), and a name with one address only makes clients
// wait for the other family.
//
// A File plans a change as a list of standard commands, which can be shown,
// handed to an administrator or run; becoming root is left to the function that
// Apply is given.
package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"devproxy/internal/atomicfile"
	"devproxy/internal/elevate"
)

// systemPath is the hosts file of Unix systems.
const systemPath = "/etc/hosts"

// maxSize bounds what is read, in bytes. Block lists of several megabytes are
// in use.
const maxSize = 64 << 20

// File is a hosts file that may belong to root.
type File struct {
	Path string // "" means /etc/hosts

	// Dir is where the new content waits for the commands: a folder that
	// exists and that only the current user can write to.
	Dir string

	// Addrs are where the names lead; nil means 127.0.0.1 and ::1. An address
	// that nobody listens on makes clients that try only the first one, such
	// as Node 18, fail.
	Addrs []netip.Addr
}

// A Change brings a hosts file up to date. It is made by Plan, which changes
// nothing. Two Changes must not be applied at once.
type Change struct {
	Path      string   // the file itself: File.Path with links resolved
	Names     []string // in the block afterwards, normalised and sorted
	Unchanged bool     // the file is as it should be; there are no commands

	// Commands do the change when run as root, in order, after Stage.
	Commands []elevate.Command

	old, new       []byte
	info           fs.FileInfo // of the old file; nil if there was none
	staged, backup string      // backup is "" unless the file is written in place
}

// Plan returns what has to be done for the block to hold names, or for the
// block to go if there are none. Its errors match fs errors where reading the
// file fails, and errors.ErrUnsupported on systems other than Linux and macOS.
//
// On Linux the file is replaced by rename, so that nobody ever reads a part of
// it; owner, mode and other attributes are those of the old file. Where rename
// is impossible, because the file is a mount of its own (as in containers), it
// is overwritten in place, and always on macOS. A file that is a symbolic link
// stays one: its target is written.
func (f File) Plan(names []string) (*Change, error) {
	names, err := normalize(names)
	if err != nil {
		return nil, err
	}
	addrs := f.Addrs
	if addrs == nil {
		addrs = loopback()
	}
	c := &Change{Path: f.Path, Names: names, staged: filepath.Join(f.Dir, "hosts.new")}
	if c.Path == "" {
		c.Path = systemPath
	}
	if c.Path, err = resolve(c.Path); err != nil {
		return nil, err
	}
	c.old, c.info, err = read(c.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if c.new, err = update(c.old, names, addrs); err != nil {
		return nil, fmt.Errorf("%s: %v", c.Path, err)
	}
	if bytes.Equal(c.old, c.new) {
		c.Unchanged = true
		return c, nil
	}
	inPlace, err := mustWriteInPlace(c.Path)
	if err != nil {
		return nil, fmt.Errorf("change %s: %w", c.Path, err)
	}
	switch {
	case c.info == nil: // there is nothing to preserve
		c.Commands = c.place(tool("rm", "-f", c.temp()), c.write(c.temp()), tool("chmod", "0644", c.temp()))
	case inPlace:
		c.backup = filepath.Join(f.Dir, "hosts.old")
		c.Commands = []elevate.Command{c.write(c.Path)}
	default:
		// A copy of the old file, for its owner, mode, access list and label,
		// takes the new content.
		c.Commands = c.place(tool("cp", "-a", c.Path, c.temp()), c.write(c.temp()))
	}
	return c, nil
}

// write returns the command that fills a file with the staged content, as it
// was staged.
func (c *Change) write(path string) elevate.Command {
	return elevate.Fed(tool("cp", "/dev/stdin", path), c.staged, c.new)
}

// temp is beside the file, where mv can rename it. A run that broke off leaves
// it behind, the next one overwrites it.
func (c *Change) temp() string { return c.Path + ".devproxy-new" }

// place returns commands that make the temporary file, then put it in place.
func (c *Change) place(making ...elevate.Command) []elevate.Command {
	return append(making, tool("sync", c.temp()), tool("mv", "-f", c.temp(), c.Path))
}

// Stage puts the new content where Commands expect it. Apply does so by
// itself; a caller that hands Commands to somebody else calls Stage before.
func (c *Change) Stage() error {
	if c.Unchanged {
		return nil
	}
	if c.backup != "" {
		if err := atomicfile.Replace(c.backup, c.old, 0o600); err != nil {
			return fmt.Errorf("keep a copy of %s: %v", c.Path, err)
		}
	}
	if err := atomicfile.Replace(c.staged, c.new, 0o600); err != nil {
		return fmt.Errorf("stage the new %s: %v", c.Path, err)
	}
	return nil
}

// Apply stages the new content, has run execute Commands, and reads the file
// back. It does nothing if the file is Unchanged, and fails if it is no longer
// the file that Plan saw; what somebody writes in the moment between that
// check and the commands is lost. Errors of run are wrapped, and leave the
// staged content where the commands find it.
func (c *Change) Apply(ctx context.Context, run func(context.Context, []elevate.Command) error) error {
	if c.Unchanged {
		return nil
	}
	if err := c.Stage(); err != nil {
		return err
	}
	now, _, err := read(c.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(now, c.old) || (err == nil) != (c.info != nil) {
		c.discard()
		return fmt.Errorf("%s was changed by another program meanwhile; nothing was written", c.Path)
	}
	if err := run(ctx, c.Commands); err != nil {
		return fmt.Errorf("change %s: %w%s", c.Path, err, c.damage())
	}
	if err := c.verify(); err != nil {
		return err
	}
	c.discard()
	return nil
}

func (c *Change) verify() error {
	now, info, err := read(c.Path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, c.new) {
		return fmt.Errorf("%s does not hold what was written%s", c.Path, c.damage())
	}
	if c.info != nil && (info.Mode() != c.info.Mode() || owner(info) != owner(c.info)) {
		return fmt.Errorf("%s has the new content, but mode and owner became %v %s; they were %v %s",
			c.Path, info.Mode(), owner(info), c.info.Mode(), owner(c.info))
	}
	return nil
}

// damage says where the old content is, if a write in place broke off.
func (c *Change) damage() string {
	if c.backup == "" {
		return ""
	}
	if now, _, err := read(c.Path); err == nil && bytes.Equal(now, c.old) {
		return ""
	}
	return fmt.Sprintf(" (its former content is in %s)", c.backup)
}

// discard removes what Stage wrote.
func (c *Change) discard() {
	os.Remove(c.staged)
	if c.backup != "" {
		os.Remove(c.backup)
	}
}

// resolve follows the links that lead to a file, which need not exist.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, err := os.Lstat(abs); err == nil {
		return "", fmt.Errorf("%s is a link to a file that does not exist", path)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return filepath.Join(dir, filepath.Base(abs)), err
}

func read(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait forever
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, nil, err
	}
	if len(content) > maxSize {
		return nil, nil, fmt.Errorf("%s is larger than %d MiB", path, maxSize>>20)
	}
	return content, info, nil
}

// tool returns a command with its program's absolute path: most systems have
// them in /usr/bin, some, such as Alpine and macOS, in /bin.
func tool(name string, args ...string) elevate.Command {
	program := "/usr/bin/" + name
	if _, err := os.Stat(program); err != nil {
		program = "/bin/" + name
	}
	return append(elevate.Command{program}, args...)
}
