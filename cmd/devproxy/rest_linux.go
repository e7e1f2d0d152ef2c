package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseProgram unmaps the pages of the program's own file. They stay in the
// kernel's cache, from where those that are used return one by one; on a start
// the kernel maps them in runs, so that after it nearly the whole file counts
// as this process's memory.
//
// Nothing is lost where it fails: the pages stay.
func releaseProgram() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		if start, end, ok := readOnly(strings.TrimSuffix(line, "\n"), program); ok {
			unix.RawSyscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
		}
	}
}

// readOnly returns the addresses of a line of /proc/self/maps that maps file and
// cannot be written to. What was written there would be lost.
func readOnly(line, file string) (start, end uintptr, ok bool) {
	fields := strings.Fields(line) // 00400000-00c85000 r-xp 00001000 08:01 42    /usr/bin/devproxy
	if len(fields) < 6 || !strings.HasSuffix(line, " "+file) || !strings.HasPrefix(fields[1], "r-") || !strings.HasSuffix(fields[1], "p") {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	a, errA := strconv.ParseUint(from, 16, strconv.IntSize)
	b, errB := strconv.ParseUint(to, 16, strconv.IntSize)
	return uintptr(a), uintptr(b), errA == nil && errB == nil && a < b
}
