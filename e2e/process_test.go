package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// vital returns a number that the kernel has about devproxy: VmRSS and VmHWM
// (its peak) in KiB, Threads.
func (s *server) vital(t *testing.T, name string) int {
	t.Helper()
	status, err := os.ReadFile(s.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the kernel says nothing of %s", name)
	return 0
}

func (s *server) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), name)
}

// memory returns the resident memory of the server, in KiB.
func (s *server) memory(t *testing.T) int {
	t.Helper()
	return s.vital(t, "VmRSS")
}

// forgetPeak has the kernel measure VmHWM from now on.
func (s *server) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.proc("clear_refs"), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// descriptors returns how many files and sockets devproxy has open.
func (s *server) descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir(s.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// goroutines ends devproxy with a dump of its goroutines, and counts them.
func (s *server) goroutines(t *testing.T) int {
	t.Helper()
	mark := s.mark()
	s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatal("devproxy does not end at SIGQUIT")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.lines[mark:] {
		if strings.HasPrefix(line.msg(), "goroutine ") {
			n++
		}
	}
	return n
}

// calm has devproxy give up all connections that no request uses: its clients
// close theirs, and for a moment no route leads anywhere. Then config applies.
func (s *server) calm(t *testing.T, config string, clients ...*http.Client) {
	t.Helper()
	for _, client := range clients {
		client.CloseIdleConnections()
	}
	s.reload(t, head+"log.access = false\nroutes.\"idle.localhost\" = \"builtin:hello\"\n")
	s.reload(t, config)
}

// reload puts config in the place of the running one and waits until it is.
func (s *server) reload(t *testing.T, config string) {
	t.Helper()
	mark := s.mark()
	if err := rename(filepath.Join(s.home.work, "devproxy.toml"), config); err != nil {
		t.Fatal(err)
	}
	s.waitLogAfter(t, mark, reloaded, nil)
}

// rename saves a file as most editors do.
func rename(path, content string) error {
	temp := path + ".new"
	return errors.Join(writeInPlace(temp, content), os.Rename(temp, path))
}

// eventually asks until ok says true. It is for what nobody can be told of.
func eventually(t *testing.T, what func() string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%s after %v", what(), patience)
		}
	}
}

// settled returns value once it has not changed for half a second.
func settled(t *testing.T, value func() int64) int64 {
	t.Helper()
	last, since := value(), time.Now()
	eventually(t, func() string { return fmt.Sprintf("still changing, %d", last) }, func() bool {
		if now := value(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	})
	return last
}

// allowDescriptors makes sure that this process, and devproxy after it, may
// open n files.
func allowDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur, limit.Max = max(limit.Cur, n), max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		missing(t, fmt.Sprintf("a process may not open %d files (ulimit -n): %v", n, err))
	}
}

// over1 makes a client of the server's speak HTTP/1.1, and lets its requests
// last.
func over1(c *http.Client) *http.Client {
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	c.Timeout = 0
	return c
}

// over2 lets a client's requests last, and counts its connections.
func over2(c *http.Client) (*http.Client, func() int) {
	c.Timeout = 0
	return c, countDials(c)
}
