package static

import (
	"io/fs"
	"syscall"
	"time"
)

// inodeOf returns when the inode of a file last changed, and its number; zero
// if they are not known.
func inodeOf(info fs.FileInfo) (changed time.Time, number uint64) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}, 0
	}
	return time.Unix(stat.Ctimespec.Unix()), stat.Ino
}
