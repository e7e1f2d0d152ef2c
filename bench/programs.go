package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// programs are the paths of what is started.
type programs struct {
	devproxy                    string // the first build; makes the certificates
	caddy, nginx, haproxy, wrk  string
	stock, live, h2load, folder string
}

// findPrograms looks for what is installed and builds the rest into folder.
// root is the folder of the repository.
func findPrograms(root string, wanted map[string]bool, progress io.Writer) (programs, error) {
	p := programs{folder: filepath.Join(root, "bin", "bench")}
	for _, tool := range []struct {
		path   *string
		name   string
		needed bool
	}{
		{&p.nginx, "nginx", true}, // the backend, too
		{&p.haproxy, "haproxy", wanted["haproxy"]},
		{&p.wrk, "wrk", true},
		{&p.h2load, "h2load", true},
	} {
		found, err := lookPath(tool.name)
		if err != nil && tool.needed {
			return p, fmt.Errorf("%s is missing: DEVPROXY_INSTALL=1 make bench installs it on Debian", tool.name)
		}
		*tool.path = found
	}
	p.stock, p.live, p.caddy = filepath.Join(p.folder, "stock"), filepath.Join(p.folder, "live"), filepath.Join(p.folder, "caddy")
	if err := build(filepath.Join(root, "bench"), p.live, "./live"); err != nil {
		return p, err
	}
	if wanted["stock"] {
		if err := build(filepath.Join(root, "bench"), p.stock, "./stock"); err != nil {
			return p, err
		}
	}
	if wanted["caddy"] {
		fmt.Fprintln(progress, "building Caddy, which takes some minutes the first time")
		return p, build(filepath.Join(root, "bench", "caddy"), p.caddy, ".")
	}
	return p, nil
}

// lookPath also looks where Debian has servers, which is not on a user's PATH.
func lookPath(name string) (string, error) {
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// build compiles a program of the harness as make build does devproxy.
func build(dir, to, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", to, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", filepath.Base(to), err, out)
	}
	return nil
}

// version is one line on what a contender is.
func version(c *contender) string {
	argv := map[string][]string{
		"devproxy": {"version"}, "caddy": {"version"}, "nginx": {"-v"}, "haproxy": {"-v"},
	}[c.kind.name]
	if argv == nil {
		return "httputil.ReverseProxy with pools of connections and buffers, " + runtime.Version()
	}
	out, err := exec.Command(c.binary, argv...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if c.accessLog {
		line += ", access log on, into a file"
	} else if c.kind.name == "devproxy" {
		line += ", access log off"
	}
	return line
}
