//go:build !linux && !darwin

package hosts

import (
	"errors"
	"io/fs"
)

func mustWriteInPlace(string) (bool, error) { return false, errors.ErrUnsupported }

func owner(fs.FileInfo) string { return "" }
