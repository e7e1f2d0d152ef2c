package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestExec runs commands whose end is not devproxy's own.
func TestExec(t *testing.T) {
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	binary := os.Getenv(envBinary)
	for _, tt := range []struct {
		script string
		code   int
		signal syscall.Signal
	}{
		{"exit 0", 0, 0},
		{"exit 7", 7, 0},
		{"kill -KILL $$", -1, syscall.SIGKILL},
		{"kill -INT $$", -1, syscall.SIGINT},
	} {
		cmd := h.command(t, binary, "exec", "--", "/bin/sh", "-c", tt.script)
		got := finish(t, cmd)
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if got.code != tt.code || status.Signaled() != (tt.signal != 0) || status.Signaled() && status.Signal() != tt.signal {
			t.Errorf("%q: ended with %v, want code %d or signal %v", tt.script, cmd.ProcessState, tt.code, tt.signal)
		}
	}
	h.devproxy(t, "exec", "--", "no-such-program").must(t, 127)
	h.devproxy(t, "exec", "--", h.write(t, "file", "")).must(t, 126)

	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		cmd := h.command(t, binary, "exec", "--", "/bin/sh", "-c",
			`trap 'exit 42' INT TERM HUP USR1; echo ready; while :; do sleep 0.01; done`)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		cmd.Process.Signal(signal)
		err = cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 42 {
			t.Errorf("%v: ended with %v, want exit status 42", signal, err)
		}
	}
}

// TestEnv makes clients accept by the variables that a shell takes over, with
// no store touched.
func TestEnv(t *testing.T) {
	h := newHome(t)
	s := start(t, h, usual+fmt.Sprintf("routes.\"app.localhost\" = %q", startShown(t)))
	h.devproxy(t, "hosts", "sync").must(t, 0)
	t.Cleanup(func() { h.devproxy(t, "hosts", "clean").must(t, 0) })
	binary := os.Getenv(envBinary)
	const posix = `eval "$("$0" env)" && exec "$@"`
	url := s.url("app.localhost", "/")
	for _, shell := range []struct{ name, script string }{
		{"bash", posix},
		{"zsh", posix},
		{"fish", `$argv[1] env --shell fish | source; and exec $argv[2..-1]`},
	} {
		path := tool(t, shell.name)
		in := h.withEnv("SHELL=" + path)
		for _, c := range unaidedClients {
			if c.name != "python" && c.name != "node" {
				continue
			}
			if ok, got := c.accepts(t, in, nil, url); ok {
				t.Errorf("%s accepts by itself: %s", c.name, got)
			}
			if ok, got := c.accepts(t, in, []string{path, "-c", shell.script, binary}, url); !ok {
				t.Errorf("%s, %s refuses: %s", shell.name, c.name, got)
			}
		}
	}
}

// TestExecKeepsVariables runs clients for which their owner has named roots of
// his own, which must go on to count.
func TestExecKeepsVariables(t *testing.T) {
	h := newHome(t)
	s := start(t, h, usual+fmt.Sprintf("routes.\"app.localhost\" = %q", startShown(t)))
	addHosts(t, "127.0.0.1", "app.localhost", "office.example")
	office := newAuthority(t, "office")
	other := openShop(t, "office.example", office.sign(t, named("office.example")).with())
	file := h.write(t, "office.pem", pemOf(office.cert.Raw))
	for _, tt := range []struct{ client, variable string }{
		{"curl", "CURL_CA_BUNDLE"},
		{"curl", "SSL_CERT_FILE"},
		{"python", "SSL_CERT_FILE"},
		{"requests", "REQUESTS_CA_BUNDLE"},
		{"node", "NODE_EXTRA_CA_CERTS"},
	} {
		own := h.withEnv(tt.variable + "=" + file)
		for _, c := range unaidedClients {
			if c.name != tt.client {
				continue
			}
			for _, url := range []string{other.url, s.url("app.localhost", "/")} {
				if ok, got := c.accepts(t, own, []string{os.Getenv(envBinary), "exec", "--"}, url); !ok {
					t.Errorf("%s with %s refuses %s: %s", tt.client, tt.variable, url, got)
				}
			}
			if ok, _ := c.accepts(t, h, []string{os.Getenv(envBinary), "exec", "--"}, other.url); ok {
				t.Errorf("%s accepts %s without %s", tt.client, other.url, tt.variable)
			}
		}
	}
}
