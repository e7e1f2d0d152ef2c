package portholder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func find(addr netip.AddrPort) (Holder, error) {
	return findUnder("/proc", addr)
}

func findUnder(proc string, addr netip.AddrPort) (Holder, error) {
	sockets, err := listeners(proc)
	if err != nil {
		return Holder{}, err
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
	sockets = slices.DeleteFunc(sockets, func(s socket) bool { return rank(s.addr, addr) == 0 })
	if len(sockets) == 0 {
		return Holder{}, ErrNotFound
	}
	slices.SortStableFunc(sockets, func(a, b socket) int {
		return cmp.Compare(rank(a.addr, addr), rank(b.addr, addr))
	})
	// Several programs can share an address (SO_REUSEPORT); of those that
	// match equally well a visible one says most.
	best := rank(sockets[0].addr, addr)
	pids := processes(proc)
	for _, s := range sockets {
		if rank(s.addr, addr) > best {
			break
		}
		if pid := s.holder(proc, pids); pid != 0 {
			return Holder{PID: pid, Command: command(proc, pid), UID: s.uid, User: userName(s.uid)}, nil
		}
	}
	uid := sockets[0].uid
	return Holder{UID: uid, User: userName(uid)}, nil
}

func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return ""
	}
	return u.Username
}

// rank says how well a listener on have explains that want cannot be had: 1 is
// best, 0 is not at all.
//
// Whether a listener on [::] takes IPv4 as well (IPV6_V6ONLY) is not to be
// seen in /proc; it explains an IPv4 address when nothing else does.
func rank(have, want netip.AddrPort) int {
	h, w := have.Addr(), want.Addr()
	switch {
	case have.Port() != want.Port():
		return 0
	case h == w:
		return 1
	case h.IsUnspecified() && h.Is4() == w.Is4():
		return 2
	case w.IsUnspecified() && h.Is4() == w.Is4():
		return 3
	case h == netip.IPv6Unspecified():
		return 4
	case w == netip.IPv6Unspecified():
		return 5
	}
	return 0
}

// processes returns the ids of all processes, ascending: of a server and the
// workers it forked, the server usually comes first.
func processes(proc string) []int {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// holder returns the first of pids that has s open, or 0 if none that we may
// look into has.
func (s socket) holder(proc string, pids []int) int {
	want := fmt.Sprintf("socket:[%d]", s.inode)
	for _, pid := range pids {
		dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // another user's, or just gone
		}
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			target, err := os.Readlink(filepath.Join(dir, e.Name()))
			return err == nil && target == want
		}) {
			return pid
		}
	}
	return 0
}

// listeners returns the listening TCP sockets of both families.
func listeners(proc string) ([]socket, error) {
	var found []socket
	var errs []error
	for _, name := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", name))
		if err != nil {
			errs = append(errs, err) // there is no tcp6 without IPv6
			continue
		}
		found = append(found, parse(string(text))...)
	}
	if len(errs) == 2 {
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// interpreters are named together with what they run. Other arguments are left
// out: they are long, and may be secret.
var interpreters = []string{"python", "node", "nodejs", "ruby", "perl", "php", "deno", "bun", "java", "dotnet", "sh", "bash"}

// command returns a short name for a process, "" if it is gone.
func command(proc string, pid int) string {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	return describe(strings.TrimSpace(string(comm)), strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00"))
}

// describe makes "python3 app.py" of a process's name, which the kernel cuts
// at 15 bytes and programs may change, and its arguments.
func describe(comm string, args []string) string {
	name := comm
	program := filepath.Base(args[0])
	if slices.Contains(interpreters, strings.TrimRight(program, "0123456789.")) {
		name = program
		switch {
		case len(args) > 2 && (args[1] == "-m" || args[1] == "-jar"):
			name += " " + args[1] + " " + filepath.Base(args[2])
		case len(args) > 1 && args[1] != "" && !strings.HasPrefix(args[1], "-"):
			name += " " + filepath.Base(args[1])
		}
	}
	return printable(name)
}

// printable cuts a name to what a message can hold, without anything that
// could steer a terminal: any user can name a process.
func printable(name string) string {
	const most = 60
	runes := []rune(strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, name))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
