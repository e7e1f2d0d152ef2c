package watch

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks bounds the symbolic links followed for one path, as the kernel does.
const maxLinks = 40

// points returns, for each folder in which a change of an entry can change
// what one of paths leads to, the names of those entries. The folders exist
// and contain no links; paths must be absolute.
func points(paths []string) map[string]map[string]bool {
	found := make(map[string]map[string]bool)
	for _, path := range paths {
		trace(path, func(dir, name string) {
			if found[dir] == nil {
				found[dir] = make(map[string]bool)
			}
			found[dir][name] = true
		})
	}
	return found
}

// trace walks path as the kernel would and calls point for every link on the
// way and for the last entry: the file itself, or the first that is missing.
//
// The plain folders on the way are left out: a watch on each of them would
// hear everything that happens in the home and temporary folders. When one of
// them is replaced, the poll notices.
func trace(path string, point func(dir, name string)) {
	dir, rest := split(path)
	links := 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." { // from a link; dir has no links, so this is exact
			dir = filepath.Dir(dir)
			continue
		}
		next := filepath.Join(dir, name)
		info, err := os.Lstat(next)
		switch {
		case err == nil && info.Mode()&fs.ModeSymlink != 0:
			point(dir, name)
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return
			}
			root, names := split(target)
			if root != "" {
				dir = root
			}
			rest = append(names, rest...)
		case err != nil || !info.IsDir() || len(rest) == 0:
			point(dir, name)
			return
		default:
			dir = next
		}
	}
}

// split cuts a path into its root ("" for a relative one) and the names below.
func split(path string) (root string, names []string) {
	volume := filepath.VolumeName(path)
	rest := path[len(volume):]
	if filepath.IsAbs(path) {
		root = volume + string(filepath.Separator)
	}
	for name := range strings.SplitSeq(filepath.ToSlash(rest), "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return root, names
}
