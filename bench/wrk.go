package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// A wrkResult is what wrk reports.
type wrkResult struct {
	requests int
	rate     float64 // requests per second
	median   time.Duration
}

// wrk loads a contender with keep-alive requests over HTTP/1.1. Its script has
// it connect to 127.0.0.1, whatever the resolver says of app.localhost.
func (b *bench) wrk(ctx context.Context, c *contender, connections int, d time.Duration) (wrkResult, error) {
	cmd := exec.CommandContext(ctx, b.programs.wrk, "-t", "1", "-c", strconv.Itoa(connections),
		"-d", fmt.Sprintf("%ds", max(1, int(d.Round(time.Second).Seconds()))), "--latency",
		"-s", filepath.Join(b.dir, "loopback.lua"), fmt.Sprintf("https://app.localhost:%d/", c.port))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

// loopbackScript replaces wrk's own resolving.
const loopbackScript = `function wrk.resolve(host, service)
   wrk.addrs = wrk.lookup("127.0.0.1", service)
end
`

var (
	wrkRequests = regexp.MustCompile(`(?m)^ +(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)`)
	wrkMedian   = regexp.MustCompile(`(?m)^ +50% +([0-9.]+)(us|ms|s)$`)
	wrkErrors   = regexp.MustCompile(`(?m)^ +(Socket errors: .*|Non-2xx or 3xx responses: .*)$`)
)

// parseWrk reads the report of wrk --latency. A report with errors is one.
func parseWrk(text string) (wrkResult, error) {
	if match := wrkErrors.FindStringSubmatch(text); match != nil {
		return wrkResult{}, fmt.Errorf("wrk: %s", match[1])
	}
	requests, rate, median := wrkRequests.FindStringSubmatch(text), wrkRate.FindStringSubmatch(text), wrkMedian.FindStringSubmatch(text)
	if requests == nil || rate == nil || median == nil {
		return wrkResult{}, fmt.Errorf("wrk: unknown report\n%s", text)
	}
	var r wrkResult
	var errs [3]error
	r.requests, errs[0] = strconv.Atoi(requests[1])
	r.rate, errs[1] = strconv.ParseFloat(rate[1], 64)
	r.median, errs[2] = time.ParseDuration(median[1] + median[2])
	if r.requests == 0 {
		errs[0] = errors.Join(errs[0], errors.New("wrk: not one request"))
	}
	return r, errors.Join(errs[:]...)
}
