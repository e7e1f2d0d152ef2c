package hosts

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// mustWriteInPlace reports whether path is a mount of its own, which rename
// refuses to replace (EBUSY).
func mustWriteInPlace(path string) (bool, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		// In place works everywhere.
		return true, nil
	}
	return isMount(string(mounts), path), nil
}

// isMount looks path up in text of the form of proc_pid_mountinfo(5): the
// fifth field of a line is where something is mounted.
func isMount(mountinfo, path string) bool {
	// The kernel writes these as octal, so that fields stay fields.
	path = strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path)
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true
		}
	}
	return false
}

func owner(info fs.FileInfo) string {
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}
