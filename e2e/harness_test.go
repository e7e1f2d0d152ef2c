package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that must happen. It is long
// because nothing is measured by it.
const patience = 30 * time.Second

// A home is a person's empty home folder with devproxy and a work folder in
// it.
type home struct {
	dir  string // HOME
	work string // working directory; devproxy.toml goes here
	env  []string
	user *syscall.Credential // who runs programs; nil is who runs the tests
}

// newHome makes one. extra variables are NAME=value.
func newHome(t *testing.T, extra ...string) *home {
	t.Helper()
	return makeHome(t, t.TempDir(), nil, extra...)
}

// makeHome fills an empty folder, which comes to belong to user.
func makeHome(t *testing.T, dir string, user *syscall.Credential, extra ...string) *home {
	t.Helper()
	h := &home{dir: dir, work: filepath.Join(dir, "project"), user: user}
	temp := filepath.Join(dir, "tmp") // browsers that are killed leave folders there
	if err := errors.Join(os.Mkdir(h.work, 0o755), os.Mkdir(temp, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, h.work, temp} {
		h.own(t, path)
	}
	h.env = append([]string{
		"HOME=" + dir,
		"TMPDIR=" + temp,
		"PATH=/usr/local/bin:/usr/bin:/bin", // a Debian user's: no sbin
		"LANG=C.UTF-8",
	}, extra...)
	return h
}

// state returns devproxy's folder in the home.
func (h *home) state() string { return filepath.Join(h.dir, ".local", "share", "devproxy") }

// rootFile returns the public root certificate.
func (h *home) rootFile() string { return filepath.Join(h.state(), "root.pem") }

// write puts a file in the work folder and returns its path.
func (h *home) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(h.work, name)
	h.put(t, path, content, 0o644)
	return path
}

// put writes a file of the home's owner.
func (h *home) put(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	h.own(t, path)
}

// own gives a file to the home's owner.
func (h *home) own(t *testing.T, path string) {
	t.Helper()
	if h.user == nil {
		return
	}
	if err := os.Chown(path, int(h.user.Uid), int(h.user.Gid)); err != nil {
		t.Fatal(err)
	}
}

// command prepares a program run by the home's owner.
func (h *home) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	// Not t.Context: that has ended when clean-up functions run programs.
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = h.work
	cmd.Env = h.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: h.user}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// A result is what a program did.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// run runs a program to its end.
func (h *home) run(t *testing.T, name string, args ...string) result {
	t.Helper()
	return finish(t, h.command(t, name, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%s: %v", cmd, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// devproxy runs the program under test to its end.
func (h *home) devproxy(t *testing.T, args ...string) result {
	t.Helper()
	return h.run(t, os.Getenv(envBinary), args...)
}

// must fails the test unless the command ended with code.
func (r result) must(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s", r.code, code, r)
	}
	return r
}

// A logLine is one line of devproxy's JSON log.
type logLine map[string]any

func (l logLine) msg() string { s, _ := l["msg"].(string); return s }

// A server is a running devproxy.
type server struct {
	home *home
	cmd  *exec.Cmd
	port int

	mu     sync.Mutex
	lines  []logLine
	stderr bytes.Buffer
	more   chan struct{} // closed and replaced at each new line
	stdout bytes.Buffer
	exited chan struct{}
}

// head begins every configuration of a test: any free port, a log to read.
const head = `
listen = ["127.0.0.1:0"]
redirect = []
log.format = "json"
log.level = "debug"
`

// start runs "devproxy serve" until the test ends. config "" starts it
// without a file.
func start(t *testing.T, h *home, config string, args ...string) *server {
	t.Helper()
	if config != "" {
		h.write(t, "devproxy.toml", config)
	}
	s := launch(t, h, args...)
	line := s.waitLog(t, "serving", nil)
	s.port = int(line["port"].(float64))
	return s
}

// launch starts devproxy without waiting for anything.
func launch(t *testing.T, h *home, args ...string) *server {
	t.Helper()
	s := &server{home: h, more: make(chan struct{}), exited: make(chan struct{})}
	s.cmd = exec.Command(os.Getenv(envBinary), append([]string{"serve"}, args...)...)
	s.cmd.Dir, s.cmd.Env = h.work, h.env
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: h.user}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout = writerFunc(func(p []byte) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wakeLocked()
		return s.stdout.Write(p)
	})
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.readLog(stderr)
		s.cmd.Wait()
		close(s.exited)
		s.mu.Lock()
		s.wakeLocked()
		s.mu.Unlock()
	}()
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("devproxy's output:\n%s\n%s", s.output(), s.errors())
		}
	})
	return s
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (s *server) readLog(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		text, err := lines.ReadBytes('\n')
		if len(text) > 0 {
			var line logLine
			if json.Unmarshal(text, &line) != nil {
				line = logLine{"msg": strings.TrimSpace(string(text))}
			}
			s.mu.Lock()
			s.stderr.Write(text)
			s.lines = append(s.lines, line)
			s.wakeLocked()
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (s *server) wakeLocked() {
	close(s.more)
	s.more = make(chan struct{})
}

func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdout.String()
}

func (s *server) errors() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// await waits until ready, called with s.mu held, says true.
func (s *server) await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		ok, more := ready(), s.more
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-s.exited:
			s.mu.Lock()
			ok := ready()
			s.mu.Unlock()
			if !ok {
				t.Fatalf("devproxy ended before %s:\n%s\n%s", what, s.output(), s.errors())
			}
			return
		case <-deadline:
			t.Fatalf("no %s after %v:\n%s\n%s", what, patience, s.output(), s.errors())
		}
	}
}

// mark returns a position in the log, for waitLogAfter.
func (s *server) mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

// waitLog waits for a line with the message and, if match is not nil, one
// that it accepts.
func (s *server) waitLog(t *testing.T, msg string, match func(logLine) bool) logLine {
	t.Helper()
	return s.waitLogAfter(t, 0, msg, match)
}

func (s *server) waitLogAfter(t *testing.T, from int, msg string, match func(logLine) bool) logLine {
	t.Helper()
	var found logLine
	s.await(t, fmt.Sprintf("log line %q", msg), func() bool {
		for _, line := range s.lines[from:] {
			if line.msg() == msg && (match == nil || match(line)) {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// waitOutput waits for text on stdout.
func (s *server) waitOutput(t *testing.T, text string) {
	t.Helper()
	s.await(t, fmt.Sprintf("output %q", text), func() bool { return strings.Contains(s.stdout.String(), text) })
}

// stop ends the server as Ctrl-C does and waits for it.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.cmd.Process.Signal(os.Interrupt)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.cmd.Process.Kill()
		<-s.exited
		t.Errorf("devproxy did not end within %v of an interrupt", patience)
	}
}

// url returns the address of a path on a host.
func (s *server) url(host, path string) string {
	return fmt.Sprintf("https://%s:%d%s", host, s.port, path)
}

// pool returns a pool that holds only the home's root.
func (h *home) pool(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(h.rootFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", h.rootFile())
	}
	return pool
}

// client returns a client that trusts only the home's root and finds every
// host at the server.
func (s *server) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.home.pool(t)},
		ForceAttemptHTTP2: true,
	}
	dialer := &net.Dialer{}
	addr := fmt.Sprintf("127.0.0.1:%d", s.port)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// get returns the body of a page, which must answer 200.
func (s *server) get(t *testing.T, client *http.Client, host, path string) string {
	t.Helper()
	resp, err := client.Get(s.url(host, path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s%s: %s\n%s", host, path, resp.Status, body)
	}
	return string(body)
}

// rounds returns how often a test repeats something: few times, or many under
// "make soak".
func rounds(few, many int) int {
	if os.Getenv("DEVPROXY_SOAK") == "1" {
		return many
	}
	return few
}
