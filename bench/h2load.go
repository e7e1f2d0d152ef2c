package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// An h2loadResult is what h2load reports.
type h2loadResult struct {
	requests int
	rate     float64 // requests per second
	took     time.Duration
}

// h2load loads a contender over HTTP/2.
func (b *bench) h2load(ctx context.Context, c *contender, args ...string) (h2loadResult, error) {
	args = append([]string{"-t", "1", "--connect-to", c.address()}, args...)
	out, err := exec.CommandContext(ctx, b.programs.h2load, args...).CombinedOutput()
	if err != nil {
		return h2loadResult{}, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	return parseH2load(string(out))
}

var (
	h2loadFinished = regexp.MustCompile(`(?m)^finished in ([0-9.]+(?:us|ms|s)), ([0-9.]+) req/s`)
	h2loadRequests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadProtocol = regexp.MustCompile(`(?m)^Application protocol: (\S+)`)
)

// parseH2load reads h2load's report. A report with failures is an error.
func parseH2load(text string) (h2loadResult, error) {
	finished, requests := h2loadFinished.FindStringSubmatch(text), h2loadRequests.FindStringSubmatch(text)
	if finished == nil || requests == nil {
		return h2loadResult{}, fmt.Errorf("h2load: unknown report\n%s", text)
	}
	if protocol := h2loadProtocol.FindStringSubmatch(text); protocol == nil || protocol[1] != "h2" {
		return h2loadResult{}, fmt.Errorf("h2load: not HTTP/2\n%s", text)
	}
	var r h2loadResult
	var errs [3]error
	r.took, errs[0] = time.ParseDuration(finished[1])
	r.rate, errs[1] = strconv.ParseFloat(finished[2], 64)
	r.requests, errs[2] = strconv.Atoi(requests[2])
	if requests[1] != requests[2] || r.requests == 0 {
		errs[2] = errors.Join(errs[2], fmt.Errorf("h2load: %s", requests[0]))
	}
	return r, errors.Join(errs[:]...)
}
