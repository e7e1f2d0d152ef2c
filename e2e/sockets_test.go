package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startAt runs a program in the home's work folder until the test ends. The
// function that it returns kills it with its children.
func (h *home) startAt(t *testing.T, name string, args ...string) (kill func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = h.work, h.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Credential: h.user}
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
	t.Cleanup(func() {
		kill()
		out.Close()
		if text, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("output of %s:\n%s", name, text)
		}
	})
	return kill
}

// onSocket is a WSGI app that says what it is told of the client's address.
const onSocket = `
def application(environ, start_response):
    body = ("fluffy tail " + environ.get("HTTP_X_FORWARDED_PROTO", "none")).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
`

// Real servers behind a socket file, named relative to devproxy.toml.
func TestSocketServers(t *testing.T) {
	for _, server := range []struct {
		name string
		args func(t *testing.T) []string
	}{
		{"gunicorn", func(t *testing.T) []string {
			return []string{tool(t, "gunicorn"), "--bind", "unix:run/app.sock", "app:application"}
		}},
		{"uwsgi", func(t *testing.T) []string {
			return []string{tool(t, "uwsgi"), "--http-socket", "run/app.sock", "--plugin", "python3", "--wsgi-file", "app.py"}
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			h := newHome(t)
			args := server.args(t)
			h.write(t, "app.py", onSocket)
			if err := os.Mkdir(filepath.Join(h.work, "run"), 0o755); err != nil {
				t.Fatal(err)
			}
			// The first request is held until the server has begun to listen.
			s := start(t, h, head+"[routes.\"app.localhost\"]\nto = \"unix:run/app.sock\"\nhold = \"30s\"")
			h.startAt(t, args[0], args[1:]...)
			for range 3 {
				if got := s.get(t, s.client(t), "app.localhost", "/"); got != secret+" https" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
}

// A socket file that is removed and made again while requests wait.
func TestSocketMadeAgain(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(h.work, "app.sock")
	serve := func() *http.Server {
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, secret, r.Method) })}
		go srv.Serve(ln)
		t.Cleanup(func() { srv.Close() })
		return srv
	}
	srv := serve()
	s := start(t, h, head+`routes."app.localhost" = "unix:./app.sock"`)
	client := s.client(t)
	if got := s.get(t, client, "app.localhost", "/"); got != secret+"GET" {
		t.Fatalf("got %q", got)
	}
	srv.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Fatal("the socket is still there")
	}
	const many = 20
	bodies := make(chan string, many)
	for range many {
		go func() {
			resp, err := client.Post(s.url("app.localhost", "/"), "text/plain", strings.NewReader("body"))
			if err != nil {
				bodies <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			bodies <- string(body)
		}()
	}
	select {
	case got := <-bodies:
		t.Fatalf("answered while nobody listens: %q", got)
	case <-time.After(300 * time.Millisecond):
	}
	serve()
	for range many {
		if got := receive(t, "answer", bodies); got != secret+"POST" {
			t.Errorf("got %q", got)
		}
	}
}

// A socket that devproxy's user may not connect to.
func TestSocketDenied(t *testing.T) {
	h := newUser(t)
	path := filepath.Join(h.work, "app.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if err := os.Chmod(path, 0o600); err != nil { // of root, who runs the test
		t.Fatal(err)
	}
	s := start(t, h, head+`routes."app.localhost" = "unix:app.sock"`)
	began := time.Now()
	status, body := s.status(t, s.client(t), "app.localhost", "/")
	if status != http.StatusBadGateway || !strings.Contains(body, "permission denied") || !strings.Contains(body, "write permission") {
		t.Errorf("got %d %q, want 502, the reason and a hint", status, body)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("answered after %v: a denial is not waited out", took)
	}
}
