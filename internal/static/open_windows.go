package static

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// openFlags need nothing against blocking: named pipes are not in folders.
const openFlags = os.O_RDONLY

// absent reports whether the error means that there is no such file, or none
// that can be opened.
func absent(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG,
		windows.ERROR_INVALID_NAME, windows.ERROR_BAD_PATHNAME,
		windows.ERROR_DIRECTORY, windows.ERROR_FILENAME_EXCED_RANGE,
		windows.ERROR_CANT_ACCESS_FILE, windows.ERROR_DELETE_PENDING:
		return true
	}
	return false
}

// exhausted reports whether the error passes once other files are closed.
func exhausted(errno syscall.Errno) bool {
	switch errno {
	case windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_NO_SYSTEM_RESOURCES, windows.ERROR_NOT_ENOUGH_MEMORY:
		return true
	}
	return false
}
