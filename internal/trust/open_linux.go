package trust

import (
	"os"
	"path/filepath"
)

// isOpen reports whether a process of this person has a file open, as a browser
// has its database. What cannot be looked into is somebody else's.
func isOpen(file string) bool {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == file {
			return true
		}
	}
	return false
}
