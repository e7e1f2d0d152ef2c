package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// share returns what the server has in memory, in KiB: its share of pages that
// several processes have.
func (s *server) share(t *testing.T) int {
	t.Helper()
	rollup, err := os.ReadFile(s.proc("smaps_rollup"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(rollup), "\nPss:")
	size, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// busy returns the processor time that the server has used, and how often one of
// its threads has gone to sleep.
func (s *server) busy(t *testing.T) (used time.Duration, sleeps int) {
	t.Helper()
	tasks, err := filepath.Glob(s.proc("task/*"))
	if err != nil || len(tasks) == 0 {
		t.Fatal("no threads: ", err)
	}
	for _, task := range tasks {
		times, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			t.Fatal(err)
		}
		ns, _, _ := strings.Cut(string(times), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		used += time.Duration(n)
		status, err := os.ReadFile(task + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		n, err = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sleeps += int(n)
	}
	return used, sleeps
}

// TestRest looks at a server that has answered a request and has nothing to do.
func TestRest(t *testing.T) {
	const (
		most     = 15e6 >> 10 // KiB
		interval = 6 * time.Second
		quiet    = 100 // of the interval at work: a hundredth at most
		wakes    = 40  // a second, on all threads
	)
	h := newHome(t)
	s := start(t, h, head+"[routes]\n\"hello.localhost\" = \"builtin:hello\"\n")
	s.get(t, s.client(t), "hello.localhost", "/")
	s.waitOutput(t, "root  ")

	// What the start has used is given back just after its table.
	var size int
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if size = s.share(t); size <= most || time.Now().After(deadline) {
			break
		}
	}
	s.get(t, s.client(t), "hello.localhost", "/")
	if size = s.share(t); size > most {
		t.Errorf("%d KiB in memory, want %d at most", size, most)
	}

	used, sleeps := s.busy(t)
	time.Sleep(interval) // nothing is waited for: this is the time in which nothing may happen
	usedAfter, sleepsAfter := s.busy(t)
	used, sleeps = usedAfter-used, sleepsAfter-sleeps
	if used > interval/quiet {
		t.Errorf("%v of work in %v with nothing to do", used, interval)
	}
	if sleeps > wakes*int(interval/time.Second) {
		t.Errorf("threads woke %d times in %v with nothing to do", sleeps, interval)
	}
	t.Logf("%d KiB; %v of work and %d wakes in %v", size, used, sleeps, interval)
}

// TestManyRoutes saves a file of 10,000 routes while another connection is in
// use, and starts with it.
func TestManyRoutes(t *testing.T) {
	const (
		routes = 10_000
		limit  = time.Second // of work, which takes some 0.2 s
	)
	hosts := make([]string, routes)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("app%d.localhost", i)
	}
	backend := echo(t)
	h := newHome(t)
	s := start(t, h, routed(backend, "app0.localhost"))
	file := filepath.Join(h.work, "devproxy.toml")
	last := newProbe(t, s, h.pool(t), hosts[routes-1])
	for _, round := range []struct {
		hosts  []string
		status int
	}{{hosts, 200}, {hosts[:routes-1], 404}, {hosts, 200}} {
		before, _ := s.busy(t)
		if err := writeInPlace(file, routed(backend, round.hosts...)); err != nil {
			t.Fatal(err)
		}
		took := last.wait(t, round.status)
		after, _ := s.busy(t)
		if work := after - before; work > limit {
			t.Errorf("%d routes took %v of work, want %v at most", len(round.hosts), work, limit)
		}
		t.Logf("%d routes in force after %v, and %v of work", len(round.hosts), took, after-before)
	}
	s.stop(t)

	began := time.Now()
	s = start(t, h, "")
	s.get(t, s.client(t), hosts[routes-1], "/")
	took := time.Since(began)
	work, _ := s.busy(t)
	if work > limit {
		t.Errorf("a start with %d routes took %v of work, want %v at most", routes, work, limit)
	}
	t.Logf("start with %d routes: %v, and %v of work", routes, took, work)
}
