//go:build unix

package issuer

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links in one path, as the system itself does.
const maxLinks = 40

// checkFolder fails unless dir, an absolute path, is a folder that is ours and
// closed to others, and that nobody else can replace: whoever may rename one
// of the folders above it, or a symbolic link on the way, could put a CA of
// their own there. Access lists (ACLs) beyond the mode are not looked at. The
// error matches fs.ErrNotExist if dir or a folder above it is missing.
func checkFolder(dir string) error {
	at, pending := "/", components(dir)
	if err := checkAncestor(at); err != nil {
		return err
	}
	for links := 0; len(pending) > 0; {
		step := pending[0]
		pending = pending[1:]
		if step == ".." {
			at = filepath.Dir(at) // at holds no links any more
			continue
		}
		next := filepath.Join(at, step)
		info, err := os.Lstat(next)
		if err != nil {
			return systemError(next, "look at the folder", err)
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return &Error{Path: dir, Problem: "the path goes through too many symbolic links"}
			}
			if err := checkAncestor(next); err != nil {
				return err
			}
			target, err := os.Readlink(next)
			if err != nil {
				return systemError(next, "read the link", err)
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			pending = append(components(target), pending...)
			continue
		case !info.IsDir():
			return &Error{Path: next, Problem: "is not a folder", Hint: "move it away, or keep the state folder elsewhere"}
		case len(pending) == 0:
			return checkStateFolder(next, info)
		}
		if err := checkAncestor(next); err != nil {
			return err
		}
		at = next
	}
	return &Error{Path: dir, Problem: "cannot be the state folder"} // the root of the file system
}

// components splits a path. It keeps "..", which after a symbolic link does
// not lead back.
func components(path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

func checkAncestor(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return systemError(path, "look at the folder", err)
	}
	if problem := ancestorProblem(ownerOf(info), os.Geteuid()); problem != "" {
		return &Error{
			Path:    path,
			Problem: problem + ", who could replace the CA below it",
			Hint:    "close it to others, or keep the state folder elsewhere",
		}
	}
	return nil
}

func checkStateFolder(path string, info fs.FileInfo) error {
	o := ownerOf(info)
	if o.uid != os.Geteuid() {
		return &Error{
			Path:    path,
			Problem: fmt.Sprintf("the folder belongs to user %d, and this is user %d", o.uid, os.Geteuid()),
			Hint:    "run as the user who owns it, or use another state folder",
		}
	}
	if o.mode.Perm()&0o077 != 0 {
		hint := "use a folder of its own for the state"
		if stateOnly(path) {
			hint = "chmod 700 " + shellQuote(path)
		}
		return &Error{
			Path:    path,
			Problem: fmt.Sprintf("the folder is open to others (mode %04o)", o.mode.Perm()),
			Hint:    hint,
		}
	}
	return nil
}

// stateOnly reports whether a folder looks like nothing but our state: nobody
// should be told to close /etc.
func stateOnly(path string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return false
	}
	return len(entries) == 0 || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == caFile })
}

// checkPrivate fails unless the file is ours and closed to others.
func checkPrivate(path string, info fs.FileInfo) error {
	if !ours(info) {
		return &Error{
			Path:    path,
			Problem: fmt.Sprintf("belongs to user %d, and this is user %d", ownerOf(info).uid, os.Geteuid()),
			Hint:    "run as the user who owns it, or make a new CA with ca rotate and trust it",
			Rotate:  true,
		}
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return &Error{
			Path:    path,
			Problem: fmt.Sprintf("holds a key and is open to others (mode %04o)", perm),
			Hint:    "chmod 600 " + shellQuote(path) + " if nobody has used that, else make a new CA with ca rotate and trust it",
			Rotate:  true,
		}
	}
	return nil
}

func ours(info fs.FileInfo) bool { return ownerOf(info).uid == os.Geteuid() }

// An owner is what decides who may change a folder or replace a file.
type owner struct {
	uid, gid int
	mode     fs.FileMode
}

func ownerOf(info fs.FileInfo) owner {
	st := info.Sys().(*syscall.Stat_t)
	return owner{uid: int(st.Uid), gid: int(st.Gid), mode: info.Mode()}
}

// ancestorProblem says who but self and root can rename what is in a folder,
// or replace a symbolic link, and returns "" if nobody can.
func ancestorProblem(o owner, self int) string {
	switch {
	case o.uid != self && o.uid != 0:
		return fmt.Sprintf("belongs to user %d", o.uid)
	case o.mode&fs.ModeSymlink != 0:
		return "" // its own mode means nothing, its folder was checked
	case o.mode&fs.ModeSticky != 0:
		return "" // others can rename only what is theirs, and what follows is not
	case o.mode.Perm()&0o002 != 0:
		return fmt.Sprintf("can be written by every user (mode %04o)", o.mode.Perm())
	case o.mode.Perm()&0o020 != 0 && o.gid != o.uid:
		// Systems that give each user a group of their own let it write.
		return fmt.Sprintf("can be written by the users of group %d (mode %04o)", o.gid, o.mode.Perm())
	}
	return ""
}

// shellQuote returns path as one word of a POSIX shell.
func shellQuote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
