//go:build !unix

package config

import "io/fs"

// owner knows of no owners outside Unix.
func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
