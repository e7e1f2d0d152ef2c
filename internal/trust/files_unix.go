//go:build unix

package trust

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"devproxy/internal/elevate"
)

// checkOwner refuses a file or folder that belongs to somebody else: what we
// would write there would be ours, and unreadable to its owner's browser
// (clients.md §6).
func checkOwner(path string) error { return ownedBy(path, os.Geteuid()) }

func ownedBy(path string, uid int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == uid {
		return nil
	}
	owner, us := userName(int(st.Uid)), userName(uid)
	fix := "run this as user " + owner
	if st.Uid == 0 {
		fix = "only root can write there; see why this is the place, or leave it to an administrator"
	}
	if st.Uid == 0 && (info.Mode().IsRegular() || hasDatabase(path)) {
		// A browser or tool that was once run under sudo leaves this behind.
		// Nobody is told to chown what is more than that, such as /etc.
		fix = "give it back: " + elevate.Command{"sudo", "chown", "-R", us, path}.String()
	}
	return &problem{
		detail: fmt.Sprintf("%s belongs to user %s, and devproxy runs as %s", path, owner, us),
		fix:    fix,
	}
}

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
