//go:build !unix

package issuer

import (
	"io/fs"
	"os"
)

// checkFolder fails unless dir is a folder. Who may change it is not looked at
// here: Windows has no modes, and its usual place for such folders is closed
// to other users by inherited access lists. The error matches fs.ErrNotExist
// if dir is missing.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return systemError(dir, "look at the folder", err)
	}
	if !info.IsDir() {
		return &Error{Path: dir, Problem: "is not a folder"}
	}
	return nil
}

// checkPrivate accepts every file, for the same reason.
func checkPrivate(string, fs.FileInfo) error { return nil }

func ours(fs.FileInfo) bool { return true }
