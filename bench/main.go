// Command bench compares devproxy with Caddy, nginx, HAProxy and a proxy of
// the standard library's, on this machine: each as a process of its own before
// the same backend, one after the other in rounds. It prints the tables of
// docs/benchmarks.md and writes the figures of all rounds as JSON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 0 done, 1 failed, 2 wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	var f *file
	if o.from != "" {
		f, err = readFile(o.from)
	} else {
		f, err = compare(ctx, o, stderr)
	}
	if f != nil {
		fmt.Fprint(stdout, f.markdown(false))
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted: nothing is written")
	} else if f != nil {
		err = errors.Join(err, f.keep(o))
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// keep writes what the options want kept.
func (f *file) keep(o options) error {
	if o.from == "" {
		if err := f.write(o.json); err != nil {
			return err
		}
	}
	if o.docs == "" {
		return nil
	}
	document, err := os.ReadFile(o.docs)
	if err != nil {
		return err
	}
	text, err := intoDocument(string(document), f.markdown(true))
	if err != nil {
		return fmt.Errorf("%s: %w", o.docs, err)
	}
	return os.WriteFile(o.docs, []byte(text), 0o644)
}

// compare runs all measurements. After some of them failed there is a file of
// the others and an error.
func compare(ctx context.Context, o options, progress io.Writer) (*file, error) {
	b := &bench{options: o, progress: progress, peaks: map[*contender]float64{}, results: newResults()}
	var err error
	if b.programs, err = findPrograms(o.root, o.wanted(), progress); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "devproxy-bench-"); err != nil {
		return nil, err
	}
	defer b.close()
	if err := os.WriteFile(filepath.Join(b.dir, "loopback.lua"), []byte(loopbackScript), 0o644); err != nil {
		return nil, err
	}
	b.contenders = b.field()
	b.programs.devproxy = o.builds[0].path
	f := &file{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Versions: map[string]string{},
		Settings: fileSettings{Rounds: o.rounds, Seconds: o.seconds.Seconds(), Threads: threads()},
	}
	for _, c := range b.contenders {
		f.Contenders = append(f.Contenders, c.name)
		f.Versions[c.name] = version(c)
		if isQuietDevproxy(c) {
			f.Builds = append(f.Builds, c.name)
		}
	}
	if err := b.open(); err != nil {
		return nil, err
	}
	err = b.run(ctx, o.measurements())
	f.complete(b.results)
	return f, err
}

// field returns the contenders that the options want.
func (b *bench) field() []*contender {
	var all []*contender
	for _, name := range b.proxies {
		switch name {
		case "devproxy", "devproxy" + logSuffix:
			for _, build := range b.builds {
				all = append(all, &contender{
					name: build.name + strings.TrimPrefix(name, "devproxy"),
					kind: devproxyKind(), binary: build.path, accessLog: strings.HasSuffix(name, logSuffix),
				})
			}
		case "caddy":
			all = append(all, &contender{name: name, kind: caddyKind(), binary: b.programs.caddy})
		case "nginx":
			all = append(all, &contender{name: name, kind: nginxKind(), binary: b.programs.nginx})
		case "haproxy":
			all = append(all, &contender{name: name, kind: haproxyKind(), binary: b.programs.haproxy})
		case "stock":
			all = append(all, &contender{name: name, kind: stockKind(), binary: b.programs.stock})
		}
	}
	return all
}

// measurements returns those that the options want.
func (o options) measurements() []measurement {
	return slices.DeleteFunc(allMeasurements(), func(m measurement) bool {
		return len(o.only) > 0 && !slices.Contains(o.only, m.name)
	})
}
