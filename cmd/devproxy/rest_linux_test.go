package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// fileMemory returns how much of mapped files this process has in memory, in KiB.
func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nRssFile:")
	size, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestReleaseProgram(t *testing.T) {
	before := fileMemory(t)
	releaseProgram()
	if after := fileMemory(t); after > before/2 {
		t.Errorf("%d KiB of the program are in memory, %d before: want less than half", after, before)
	}
}

func TestReadOnly(t *testing.T) {
	for _, test := range []struct {
		line string
		want bool
	}{
		{"00400000-00c85000 r-xp 00000000 08:01 42      /opt/my apps/devproxy", true},
		{"00c85000-01400000 r--p 00885000 08:01 42      /opt/my apps/devproxy", true},
		{"01400000-014a0000 rw-p 01000000 08:01 42      /opt/my apps/devproxy", false},
		{"01400000-014a0000 r--s 01000000 08:01 42      /opt/my apps/devproxy", false},
		{"00400000-00c85000 ---p 00000000 08:01 42      /opt/my apps/devproxy", false},
		{"00400000-00c85000 r-xp 00000000 08:01 43      /opt/my apps/devproxy2", false},
		{"00400000-00c85000 r-xp 00000000 08:01 43      /tmp/opt/my apps/devproxy", false},
		{"c000000000-c000400000 rw-p 00000000 00:00 0 ", false},
		{"", false},
	} {
		start, end, ok := readOnly(test.line, "/opt/my apps/devproxy")
		if ok != test.want || ok && start >= end {
			t.Errorf("%q: got %x-%x, %t, want %t", test.line, start, end, ok, test.want)
		}
	}
}
