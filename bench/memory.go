package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory returns the proportional set size of a process and its descendants,
// in bytes.
func memory(pid int) (float64, error) {
	pids, err := family(pid)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, pid := range pids {
		text, err := os.ReadFile(procFile(pid, "smaps_rollup"))
		if err != nil {
			return 0, err
		}
		pss, err := parsePSS(string(text))
		if err != nil {
			return 0, err
		}
		sum += pss
	}
	return sum, nil
}

// parsePSS finds the proportional set size in a smaps_rollup, in bytes.
func parsePSS(text string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			if err != nil {
				return 0, fmt.Errorf("proportional set size: %w", err)
			}
			return kib * 1024, nil
		}
	}
	return 0, errors.New("smaps_rollup without a proportional set size")
}

// A peak is the most memory that a process had while it was watched.
type peak struct {
	done chan struct{}
	wg   sync.WaitGroup
	most float64
}

// watchMemory looks at the memory of pid five times a second.
func watchMemory(pid int) *peak {
	p := &peak{done: make(chan struct{})}
	p.wg.Go(func() { p.watch(pid) })
	return p
}

func (p *peak) watch(pid int) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		if now, err := memory(pid); err == nil {
			p.most = max(p.most, now)
		}
		select {
		case <-p.done:
			return
		case <-ticker.C:
		}
	}
}

// stop ends the watch and returns the most that was seen, in bytes.
func (p *peak) stop() float64 {
	close(p.done)
	p.wg.Wait()
	return p.most
}
