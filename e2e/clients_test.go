package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secret is what the example app answers.
const secret = "fluffy tail"

// A backend that the example's README names, and how to start it.
var flaskServers = []struct {
	name string
	args func(t *testing.T, app string) []string
}{
	{"flask", func(t *testing.T, app string) []string {
		return []string{python(t, "flask"), app}
	}},
	{"uwsgi", func(t *testing.T, app string) []string {
		python(t, "flask")
		return []string{tool(t, "uwsgi"), "--http-socket", "127.0.0.1:5000", "--plugin", "python3", "--wsgi-file", app, "--die-on-term"}
	}},
}

// startFlask runs the example app on port 5000, which is free in the sandbox.
func startFlask(t *testing.T, args []string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("backend's output:\n%s", out.String())
		}
	})
	waitDial(t, "127.0.0.1:5000")
}

// waitDial waits until something listens at addr.
func waitDial(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
	}
	t.Fatalf("nothing listens at %s after %v", addr, patience)
}

// A client fetches a page through a program, trusting only a root file.
type client struct {
	name  string
	fetch func(t *testing.T, h *home, url, root string) result
}

var clients = []client{
	{"curl", func(t *testing.T, h *home, url, root string) result {
		return h.run(t, tool(t, "curl"), "--silent", "--show-error", "--max-time", "20", "--cacert", root, url)
	}},
	{"requests", func(t *testing.T, h *home, url, root string) result {
		path, err := filepath.Abs(example(t, "flask/client.py"))
		if err != nil {
			t.Fatal(err)
		}
		return h.run(t, python(t, "requests"), path, url, root)
	}},
	{"node", func(t *testing.T, h *home, url, root string) result {
		// The first address that the system names has to do, as in Node 18.
		script := `require("net").setDefaultAutoSelectFamily?.(false);
			require("https").get(process.argv[1], r => r.pipe(process.stdout)).on("error", e => { console.error(e.code); process.exit(1) })`
		cmd := h.command(t, tool(t, "node"), "-e", script, url)
		cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+root)
		return finish(t, cmd)
	}},
	{"openssl", func(t *testing.T, h *home, url, root string) result {
		host, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/"))
		cmd := h.command(t, tool(t, "openssl"), "s_client", "-quiet", "-verify_return_error", "-x509_strict",
			"-CAfile", root, "-verify_hostname", host, "-servername", host, "-connect", net.JoinHostPort(host, port))
		cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\nHost: " + host + "\r\n\r\n")
		return finish(t, cmd)
	}},
}

// TestClients is the main job: Flask's own server and uWSGI behind devproxy,
// fetched by clients that trust nothing but the printed root.
func TestClients(t *testing.T) {
	for _, backend := range flaskServers {
		t.Run(backend.name, func(t *testing.T) {
			app, err := filepath.Abs(example(t, "flask/app.py"))
			if err != nil {
				t.Fatal(err)
			}
			startFlask(t, backend.args(t, app))
			h := newHome(t)
			s := start(t, h, head+`routes."flask.localhost" = "http://127.0.0.1:5000"`)
			root := strings.TrimSpace(h.devproxy(t, "ca", "path").must(t, 0).stdout)
			h.devproxy(t, "hosts", "sync").must(t, 0)
			t.Cleanup(func() { h.devproxy(t, "hosts", "clean").must(t, 0) })

			for _, c := range clients {
				t.Run(c.name, func(t *testing.T) {
					got := c.fetch(t, h, s.url("flask.localhost", "/"), root).must(t, 0)
					if !strings.Contains(got.stdout, secret) {
						t.Errorf("got %q, want %q in it", got.stdout, secret)
					}
				})
			}
			t.Run("go", func(t *testing.T) {
				if got := s.get(t, s.client(t), "flask.localhost", "/"); got != secret {
					t.Errorf("got %q, want %q", got, secret)
				}
				if got := s.get(t, s.client(t), "flask.localhost", "/scheme"); got != "https" {
					t.Errorf("X-Forwarded-Proto is %q at the app, want https", got)
				}
			})
		})
	}
}

// goClient is Go's own, in this process.
func goClient(t *testing.T, h *home, url, root string) result {
	t.Helper()
	pem, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	// A process reads a hosts file that has changed only after a while.
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get(url)
	if err != nil {
		return result{stderr: err.Error(), code: 1}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return result{stdout: string(body)}
}

// TestClientsRefuseOtherNames asks for names that devproxy must not speak
// for. The hosts file sends them to it.
func TestClientsRefuseOtherNames(t *testing.T) {
	h := newHome(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, secret)
	}))
	t.Cleanup(backend.Close)
	s := start(t, h, head+fmt.Sprintf("routes.\"app.localhost\" = %q", backend.URL))
	addHosts(t, "127.0.0.1", "bank.example", "elsewhere.test", "app.localhost")
	for _, c := range slices.Concat(clients, []client{{"go", goClient}}) {
		t.Run(c.name, func(t *testing.T) {
			c.fetch(t, h, s.url("app.localhost", "/"), h.rootFile()).must(t, 0) // the set-up works
			for _, host := range []string{"bank.example", "elsewhere.test"} {
				if got := c.fetch(t, h, s.url(host, "/"), h.rootFile()); got.code == 0 || strings.Contains(got.stdout, secret) {
					t.Errorf("%s accepted %s: %s", c.name, host, got)
				}
			}
		})
	}
}

// TestClientsCompareNames visits a server whose leaf is good, but another
// host's. devproxy itself never answers that way, so that only this shows that
// clients verify anything.
func TestClientsCompareNames(t *testing.T) {
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	th := steal(t, h)
	const right = "app.localhost"
	s := openShop(t, right, th.authority().sign(t, named(right)).with(th.intermediate))
	others := []string{"other.localhost", "app.test", "sub." + right}
	addHosts(t, "127.0.0.1", append(others, right)...)
	for _, c := range slices.Concat(clients, []client{{"go", goClient}}) {
		t.Run(c.name, func(t *testing.T) {
			s.visits.Store(0)
			if got := c.fetch(t, h, s.url, h.rootFile()).must(t, 0); !strings.Contains(got.stdout, secret) || s.visits.Load() != 1 {
				t.Fatalf("%d requests, got %q; want one and %q", s.visits.Load(), got.stdout, secret)
			}
			for _, host := range others {
				s.hellos.Store(0)
				got := c.fetch(t, h, strings.Replace(s.url, right, host, 1), h.rootFile())
				if s.hellos.Load() == 0 {
					t.Errorf("%s: never came to the server: %s", host, got)
				}
				if got.code == 0 || s.visits.Load() != 1 {
					t.Errorf("%s: accepted a leaf for %s: %s", host, right, got)
				}
			}
		})
	}
}
