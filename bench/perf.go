package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// profile records what a contender's CPU does during a measurement, with -perf;
// stop ends that. Figures of such a run are not comparable with those of others.
func (b *bench) profile(m measurement, c *contender, round int) (stop func(), err error) {
	if b.perf == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(b.perf, 0o755); err != nil {
		return nil, err
	}
	pids, err := family(c.process.pid())
	if err != nil {
		return nil, err
	}
	var list []string
	for _, pid := range pids {
		list = append(list, strconv.Itoa(pid))
	}
	to := filepath.Join(b.perf, fmt.Sprintf("%s-%s-%d.data", m.name, c.name, round+1))
	cmd := exec.Command("perf", "record", "-q", "-g", "-F", "499", "-o", to, "-p", strings.Join(list, ","))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
	}, nil
}
