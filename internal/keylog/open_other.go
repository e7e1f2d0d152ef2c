//go:build !unix

package keylog

import "io/fs"

// openFlags are none where links are told by Lstat alone.
const openFlags = 0

// Windows has no modes: who may read a file is inherited from its folder, and is
// not looked at.
func ours(fs.FileInfo) bool         { return true }
func openToOthers(fs.FileInfo) bool { return false }
