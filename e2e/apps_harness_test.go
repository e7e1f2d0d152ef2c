package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// appFile returns the absolute path of an app or client under testdata.
func appFile(t *testing.T, name string) string {
	t.Helper()
	return must(filepath.Abs(filepath.Join("testdata", "apps", name)))
}

// freePort returns a port that nobody listens on. It stays free: nothing else
// is in the sandbox.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// An app is a running server that people use.
type app struct {
	addr   string
	pid    int
	out    string // a file with what it says
	exited chan struct{}
}

// startApp runs a server until the test ends and returns once it listens at
// addr. It finds the apps of testdata as Python modules.
func startApp(t *testing.T, addr string, env []string, args ...string) *app {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{
		"HOME=" + cmd.Dir, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONUNBUFFERED=1",
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" + appFile(t, ""), "NODE_PATH=" + debianModules,
	}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	a := &app{addr: addr, out: filepath.Join(cmd.Dir, "output"), exited: make(chan struct{})}
	out := must(os.Create(a.out)) // a pipe would be kept open by its helpers
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.pid = cmd.Process.Pid
	go func() {
		cmd.Wait()
		close(a.exited)
	}()
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			t.Logf("the output of %s:\n%s", args, a.said())
		}
	})
	for deadline := time.Now().Add(patience); ; {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return a
		}
		select {
		case <-a.exited:
			t.Fatalf("%s ended by itself:\n%s", args, a.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen at %s after %v:\n%s", args, addr, patience, a.said())
		}
	}
}

// said returns what the server has printed.
func (a *app) said() string {
	text, err := os.ReadFile(a.out)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends the server and what it has started. Nothing in it is worth a
// graceful end.
func (a *app) stop() {
	syscall.Kill(-a.pid, syscall.SIGKILL)
	<-a.exited
}

// A curler asks one host of a server through curl.
type curler struct {
	s     *server
	host  string
	proto string // "--http1.1", "--http2" or "--http1.0"
	jar   string // a file for cookies; "": none
}

// curlProtocols are what curl is told to speak, and what it says it spoke.
var curlProtocols = []struct{ flag, name string }{
	{"--http1.1", "HTTP/1.1"},
	{"--http2", "HTTP/2"},
}

// url returns the address of a path on the host.
func (c curler) url(path string) string { return c.s.url(c.host, path) }

// origin returns the host's origin as a browser writes it.
func (c curler) origin() string { return c.url("") }

// command prepares curl. Names lead to the server, whatever the system knows
// of them.
func (c curler) command(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{
		"--silent", "--show-error", "--max-time", "30", "--cacert", c.s.home.rootFile(),
		"--connect-to", "::127.0.0.1:", c.proto,
	}, args...)
	if c.jar != "" {
		args = append(args, "--cookie", c.jar, "--cookie-jar", c.jar)
	}
	return c.s.home.command(t, tool(t, "curl"), append(args, c.url(path))...)
}

// A reply is a response as curl shows it.
type reply struct {
	proto   string // as in the status line: "HTTP/2"
	interim []int  // statuses that came before
	status  int
	header  http.Header
	lines   []string // of the head, as they came
	body    string
	stderr  string
}

// do sends a request, which must be answered.
func (c curler) do(t *testing.T, path string, args ...string) reply {
	t.Helper()
	got := finish(t, c.command(t, path, append([]string{"--include"}, args...)...)).must(t, 0)
	r, err := parseReply(got.stdout)
	if err != nil {
		t.Fatalf("curl %s: %v\n%s", path, err, got)
	}
	r.stderr = got.stderr
	return r
}

// parseReply reads the heads before a body, of which the last counts.
func parseReply(text string) (reply, error) {
	for r := (reply{}); ; {
		head, rest, ok := strings.Cut(text, "\r\n\r\n")
		if !ok {
			return r, errors.New("no end of a head")
		}
		first, fields, _ := strings.Cut(head, "\r\n")
		proto, status, _ := strings.Cut(first, " ")
		status, _, _ = strings.Cut(status, " ")
		code, err := strconv.Atoi(status)
		if err != nil {
			return r, fmt.Errorf("status line %q", first)
		}
		text = rest
		if code < 200 {
			r.interim = append(r.interim, code)
			continue
		}
		in := textproto.NewReader(bufio.NewReader(strings.NewReader(fields + "\r\n\r\n")))
		header, err := in.ReadMIMEHeader()
		if err != nil {
			return r, err
		}
		r.proto, r.status, r.header, r.body = proto, code, http.Header(header), rest
		r.lines = strings.Split(fields, "\r\n")
		return r, nil
	}
}

func (r reply) String() string {
	return fmt.Sprintf("%s %d %v (interim %v)\n%.2000s", r.proto, r.status, r.header, r.interim, r.body)
}

// must fails the test unless the response has the status.
func (r reply) must(t *testing.T, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r)
	}
	return r
}

// json decodes the body.
func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v in %s", err, r)
	}
	return v
}

// mustHold compares some members of a decoded object.
func mustHold(t *testing.T, got map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: got %#v, want %#v", key, got[key], value)
		}
	}
}
