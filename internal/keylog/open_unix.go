//go:build unix

package keylog

import (
	"io/fs"
	"os"
	"syscall"
)

// openFlags follow no link, do not wait for the reader of a pipe, and do not make
// a terminal that of the process.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func openToOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
