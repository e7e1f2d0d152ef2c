//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A person is a user of this machine other than root, as a process needs them.
type person struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

// caller returns the person who called sudo, nil if that was root. What their
// environment says of them beyond their number or name is not used.
func (a *app) caller(ctx context.Context) (*person, error) {
	variable, value := a.sudoCaller()
	wrong := func(what string) error {
		return withHint(usagef("%s is %q: %s", variable, value, what),
			"start devproxy as yourself: it uses sudo by itself for the single steps that need it, and says so first")
	}
	key, byNumber := value, variable == "SUDO_UID"
	if byNumber {
		uid, err := strconv.ParseUint(value, 10, 32)
		if err != nil || uid == math.MaxUint32 {
			return nil, wrong("it must be the number of a user")
		}
		key = strconv.FormatUint(uid, 10)
	}
	p, err := lookUp(ctx, key, byNumber)
	switch {
	case errors.Is(err, errNoUser):
		return nil, wrong("this machine knows no such user")
	case err != nil:
		return nil, fmt.Errorf("look up user %s: %v", value, err)
	case p.uid == 0:
		return nil, nil
	}
	return p, nil
}

var errNoUser = errors.New("no such user")

// lookUp finds a user by number or name. A static program knows /etc/passwd
// only; getent and id know the directory services too.
func lookUp(ctx context.Context, key string, byNumber bool) (*person, error) {
	find, field := user.Lookup, 0
	if byNumber {
		find, field = user.LookupId, 2
	}
	if u, err := find(key); err == nil {
		groups, err := u.GroupIds()
		if err != nil {
			return nil, fmt.Errorf("list the groups: %v", err)
		}
		return newPerson(u.Username, u.HomeDir, u.Uid, u.Gid, groups)
	}
	if strings.HasPrefix(key, "-") {
		return nil, errNoUser // not a name but an option
	}
	line, err := systemTool(ctx, "getent", "passwd", key)
	if err != nil {
		return nil, err
	}
	fields := strings.Split(strings.TrimSpace(line), ":")
	// getent takes a name of digits for a number.
	if len(fields) < 6 || fields[field] != key {
		return nil, errNoUser
	}
	groups, err := systemTool(ctx, "id", "-G", fields[0])
	if err != nil {
		return nil, err
	}
	return newPerson(fields[0], fields[5], fields[2], fields[3], strings.Fields(groups))
}

// systemTool returns what a program of the system prints. Root does not look
// for it along a PATH that may be somebody else's.
func systemTool(ctx context.Context, name string, args ...string) (string, error) {
	const limit = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, dir := range []string{"/usr/bin", "/bin", "/run/current-system/sw/bin"} {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = []string{"LC_ALL=C"}
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		switch {
		case ctx.Err() != nil:
			return "", fmt.Errorf("%s: %w", path, context.Cause(ctx))
		case err != nil:
			return "", errNoUser
		}
		return string(out), nil
	}
	return "", errNoUser
}

func newPerson(name, home, uid, gid string, groups []string) (*person, error) {
	p := &person{name: name, home: home}
	number := func(text string) uint32 {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n == math.MaxUint32 {
			return math.MaxUint32
		}
		return uint32(n)
	}
	p.uid, p.gid = number(uid), number(gid)
	for _, g := range groups {
		p.groups = append(p.groups, number(g))
	}
	if p.uid == math.MaxUint32 || p.gid == math.MaxUint32 || slices.Contains(p.groups, math.MaxUint32) {
		return nil, fmt.Errorf("user %s, group %s, groups %v: not all of these are numbers", uid, gid, groups)
	}
	return p, nil
}

// environ returns env, root's, as p needs it. sudo -E leaves the person's own
// folders in it, a shell of root's leaves root's, which are told by their
// place.
func (p *person) environ(env, rootFolders []string) []string {
	var own []string
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "SUDO_"), name == relayVar:
		case slices.Contains([]string{"HOME", "USER", "LOGNAME", "USERNAME", "MAIL"}, name):
		case (strings.HasPrefix(name, "XDG_") || name == "DEVPROXY_HOME" || name == "TMPDIR") &&
			slices.ContainsFunc(filepath.SplitList(value), func(path string) bool {
				return isInside(path, rootFolders) && !isInside(path, []string{p.home})
			}):
		default:
			own = append(own, kv)
		}
	}
	return append(own,
		"HOME="+p.home,
		"USER="+p.name,
		"LOGNAME="+p.name)
}

// rootFolders are where nothing of another person's is.
func rootFolders() []string {
	folders := []string{"/root", "/run/user/0"}
	if u, err := user.LookupId("0"); err == nil && filepath.Clean(u.HomeDir) != "/" {
		folders = append(folders, u.HomeDir)
	}
	return folders
}

// isInside reports whether path is one of folders or inside, as it is written
// or where it leads.
func isInside(path string, folders []string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	real := followed(filepath.Clean(path))
	inside := func(path, folder string) bool {
		rel, err := filepath.Rel(folder, path)
		return err == nil && filepath.IsLocal(rel)
	}
	return slices.ContainsFunc(folders, func(folder string) bool {
		return folder != "" && (inside(path, folder) || inside(real, folder))
	})
}

// followed resolves the links in path, of which the end need not exist.
func followed(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil || filepath.Dir(path) == path {
		return cmp.Or(real, path)
	}
	return filepath.Join(followed(filepath.Dir(path)), filepath.Base(path))
}
