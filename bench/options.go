package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	builds  []devproxyBuild
	proxies []string
	only    []string
	rounds  int
	seconds time.Duration // of a load
	json    string
	docs    string
	from    string
	perf    string
	root    string // of the repository
}

// A devproxyBuild is a binary of devproxy, and the name of its column.
type devproxyBuild struct{ name, path string }

// logSuffix is in the name of a devproxy that writes its access log.
const logSuffix = "+log"

func allProxies() []string {
	return []string{"devproxy", "devproxy" + logSuffix, "caddy", "nginx", "haproxy", "stock"}
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var proxies, only, builds string
	var short bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&proxies, "proxies", strings.Join(allProxies(), ","), "compare these `names`")
	flags.StringVar(&only, "only", "", "take these measurements: `names` of "+strings.Join(measurementNames(), ","))
	flags.StringVar(&builds, "devproxy", "", "measure these binaries: `PATH` or NAME=PATH,NAME=PATH (default ROOT/bin/devproxy)")
	flags.IntVar(&o.rounds, "rounds", 3, "how many `times` everything is measured")
	flags.DurationVar(&o.seconds, "seconds", 3*time.Second, "how `long` a load lasts; shorter than 3s also makes counted loads smaller")
	flags.BoolVar(&short, "short", false, "one round of one second")
	flags.StringVar(&o.json, "json", "", "write all figures to this `file` (default ROOT/bin/bench.json)")
	flags.StringVar(&o.from, "from", "", "measure nothing, show the figures of this `file`")
	flags.StringVar(&o.docs, "docs", "", "put the report into this `file`, in the place of the one there")
	flags.StringVar(&o.perf, "perf", "", "record the measurements with perf into this `folder`")
	flags.StringVar(&o.root, "root", "..", "`folder` of the repository")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if short {
		o.rounds, o.seconds = 1, time.Second
	}
	if o.rounds < 1 || o.seconds <= 0 {
		return o, errors.New("-rounds and -seconds must be above 0")
	}
	return o.resolve(proxies, only, builds)
}

// resolve checks lists of names and makes paths absolute: programs run in
// folders of their own.
func (o options) resolve(proxies, only, builds string) (options, error) {
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return o, err
	}
	if o.json == "" {
		o.json = filepath.Join(o.root, "bin", "bench.json")
	}
	if o.proxies, err = names(proxies, allProxies()); err != nil {
		return o, fmt.Errorf("-proxies: %w", err)
	}
	if o.only, err = names(only, measurementNames()); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if builds == "" {
		builds = filepath.Join(o.root, "bin", "devproxy")
	}
	o.builds, err = parseBuilds(builds)
	return o, err
}

// parseBuilds reads PATH or NAME=PATH,NAME=PATH.
func parseBuilds(text string) ([]devproxyBuild, error) {
	var all []devproxyBuild
	for part := range strings.SplitSeq(text, ",") {
		name, path, ok := strings.Cut(part, "=")
		if !ok {
			name, path = "devproxy", part
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		taken := slices.ContainsFunc(all, func(b devproxyBuild) bool { return b.name == name })
		if name == "" || taken || slices.Contains(allProxies()[1:], name) {
			return nil, fmt.Errorf("-devproxy: builds need names of their own, NAME=PATH,NAME=PATH: %q", part)
		}
		all = append(all, devproxyBuild{name, path})
	}
	return all, nil
}

// names splits a list of known names.
func names(list string, known []string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	all := strings.Split(list, ",")
	for _, name := range all {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("unknown name %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return all, nil
}

func measurementNames() []string {
	var all []string
	for _, m := range allMeasurements() {
		all = append(all, m.name)
	}
	return all
}

// wanted says which proxies take part.
func (o options) wanted() map[string]bool {
	all := map[string]bool{}
	for _, name := range o.proxies {
		all[name] = true
	}
	return all
}
