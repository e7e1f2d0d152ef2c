package trust

import "syscall"

// readOnly reports whether the file system that holds path cannot be written,
// not even by root, as in images that are replaced as a whole.
func readOnly(path string) bool {
	const flag = 0x1 // ST_RDONLY of statvfs(3)
	var st syscall.Statfs_t
	return syscall.Statfs(path, &st) == nil && st.Flags&flag != 0
}
