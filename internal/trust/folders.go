package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// missingFolders returns dir and those above it that are not there, the
// outermost first; empty, but not nil, if all are.
func missingFolders(dir string) []string {
	missing := []string{}
	for ; !isDir(dir) && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing
}

// removeFolders removes folders, the innermost of which comes last, until one
// is not empty: somebody has put something there.
func removeFolders(dirs []string) {
	for _, dir := range slices.Backward(dirs) {
		if os.Remove(dir) != nil {
			return
		}
	}
}

// removeFile removes a file, or an empty folder, that may be gone.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// present reports whether there is anything of that name, be it a link that
// leads nowhere.
func present(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
