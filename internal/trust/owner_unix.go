//go:build unix

package trust

import (
	"os"
	"path/filepath"
	"syscall"
)

// rootOwned reports whether only root can change what is at path: the file,
// and every folder above it, through links too.
func rootOwned(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || !filepath.IsAbs(path) {
		return false
	}
	return rootsAlone(path, os.Lstat) && rootsAlone(real, os.Stat)
}

func rootsAlone(path string, stat func(string) (os.FileInfo, error)) bool {
	for {
		info, err := stat(path)
		if err != nil {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		isLink := info.Mode()&os.ModeSymlink != 0 // its own mode says nothing
		if !ok || st.Uid != 0 || !isLink && info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
			return false
		}
		if filepath.Dir(path) == path {
			return true
		}
		path = filepath.Dir(path)
	}
}
