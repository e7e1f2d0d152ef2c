package trust

import (
	"os"
	"path/filepath"
	"runtime"
)

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && (info.Mode()&0o111 != 0 || runtime.GOOS == "windows")
}

// nearestDir returns path, or the closest parent of it that is there.
func nearestDir(path string) string {
	for !isDir(path) && filepath.Dir(path) != path {
		path = filepath.Dir(path)
	}
	return path
}
