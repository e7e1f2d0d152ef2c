package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// vitePort is Vite's own choice, which is free in the sandbox.
const vitePort = 5173

// manyCount is how many modules src/many.js loads.
const manyCount = 300

// writeProject puts Vite's project beside devproxy.toml.
func writeProject(t *testing.T, h *home) {
	t.Helper()
	if err := os.CopyFS(h.work, os.DirFS(npmProject)); err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(h.work, "node_modules")
	many := filepath.Join(h.work, "src", "many")
	if err := errors.Join(os.Mkdir(modules, 0o755), os.Mkdir(many, 0o755)); err != nil {
		t.Fatal(err)
	}
	// Not node_modules itself: Vite writes to it.
	if err := os.Symlink(npmPackage(t, "vite"), filepath.Join(modules, "vite")); err != nil {
		t.Fatal(err)
	}
	all := "import \"./updates.js\";\n"
	for n := range manyCount {
		all += fmt.Sprintf("import \"./many/%d.js\";\n", n)
		writeModule(t, h, n, 1)
	}
	h.write(t, "src/many.js", all+"tell();\n")
}

// writeModule writes one of the many modules, which takes an edit by itself.
func writeModule(t *testing.T, h *home, n, edition int) {
	t.Helper()
	h.write(t, fmt.Sprintf("src/many/%d.js", n),
		fmt.Sprintf("(window.modules ??= {})[%d] = %d;\nif (import.meta.hot) import.meta.hot.accept();\n", n, edition))
}

// edit replaces text in a file of the project, once.
func edit(t *testing.T, h *home, name, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.work, name))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), from) != 1 {
		t.Fatalf("%s does not hold %q once:\n%s", name, from, text)
	}
	h.write(t, name, strings.Replace(string(text), from, to, 1))
}

// A viteServer is Vite's development server with what it started.
type viteServer struct {
	stop func() // kills it, as a crash does
}

// startVite runs Vite with its own settings until the test ends.
func startVite(t *testing.T, h *home, extra ...string) *viteServer {
	t.Helper()
	cmd := exec.Command(tool(t, "node"), filepath.Join("node_modules", "vite", "bin", "vite.js"), "--strictPort")
	cmd.Dir = h.work
	cmd.Env = slices.Concat(h.env, extra)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := &viteServer{sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})}
	t.Cleanup(func() {
		if v.stop(); t.Failed() {
			t.Logf("Vite's output:\n%s", out.String())
		}
	})
	waitDial(t, fmt.Sprintf("localhost:%d", vitePort))
	return v
}

// A viteReport is what a page of the project shows, see watch.js.
type viteReport struct {
	Visitor  string   // the query of the page's address
	Life     string   // of the page, from one load to the next
	Sockets  []string // that were opened
	Drops    int      // how many of them were closed
	Problems []string
	Protocol string // ALPN of the page itself; in a frame not every browser says
	Loads    int    // requests that it made, but for reports
	Failed   []string
	Edition  string // of the page's HTML
	Word     string // from a module
	Color    string // from a style
	Modules  []int  // the edition of each of many

	came time.Time
}

// mustBeWell fails the test unless all requests of the page were answered.
func (r viteReport) mustBeWell(t *testing.T) {
	t.Helper()
	if len(r.Problems)+len(r.Failed) > 0 {
		t.Errorf("%s: problems %q, failed requests %q; want none", r.Visitor, r.Problems, r.Failed)
	}
}

// reports is a backend that pages report to.
type reports struct {
	url string

	mu   sync.Mutex
	all  []viteReport
	more chan struct{} // closed and replaced at each report
}

func startReports(t *testing.T) *reports {
	t.Helper()
	desk := &reports{more: make(chan struct{})}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var rep viteReport
		if err := json.NewDecoder(r.Body).Decode(&rep); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		rep.came = time.Now()
		desk.mu.Lock()
		defer desk.mu.Unlock()
		desk.all = append(desk.all, rep)
		close(desk.more)
		desk.more = make(chan struct{})
	}))
	t.Cleanup(backend.Close)
	desk.url = backend.URL
	return desk
}

// wait waits for the first report of a visitor that ok accepts.
func (d *reports) wait(t *testing.T, visitor, what string, ok func(viteReport) bool) viteReport {
	t.Helper()
	deadline := time.After(patience)
	var last viteReport
	for seen := 0; ; {
		d.mu.Lock()
		fresh, more := d.all[seen:], d.more
		d.mu.Unlock()
		seen += len(fresh)
		for _, r := range fresh {
			if r.Visitor != visitor {
				continue
			}
			if last = r; ok(r) {
				return r
			}
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%s did not report %s in %v; its last report: %+v", visitor, what, patience, last)
		}
	}
}

// mustHaveServed fails the test unless all requests of a page since a mark were
// answered, over h2. Reports do not count: the page may go away meanwhile.
func (s *server) mustHaveServed(t *testing.T, from int, host string) {
	t.Helper()
	for _, line := range s.requests(from, host, func(l logLine) bool { return !isUpgrade(l) && l["path"] != "/report" }) {
		if status := line["status"]; line["protocol"] != "HTTP/2.0" || status != 200.0 && status != 304.0 {
			t.Errorf("%v %v: %v over %v, want success over HTTP/2.0", line["method"], line["path"], status, line["protocol"])
		}
	}
}

// requests returns the lines of the access log about a host since a mark.
func (s *server) requests(from int, host string, match func(logLine) bool) []logLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return requests(s.lines[from:], host, match)
}

func requests(lines []logLine, host string, match func(logLine) bool) []logLine {
	var found []logLine
	for _, line := range lines {
		if line.msg() == "request" && line["host"] == host && match(line) {
			found = append(found, line)
		}
	}
	return found
}

// isUpgrade tells a WebSocket from other requests.
func isUpgrade(line logLine) bool { return line["status"] == float64(http.StatusSwitchingProtocols) }
