package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Browsers are driven without an automation library: each is started on a
// plain-http page of the test, the console, whose script asks for orders and
// says what came of them. So a refusal is known from the browser itself, and
// no flag, policy or preference that concerns certificates is set.

// browserKinds are the browsers, with what they need to run without a screen
// and without the network.
var browserKinds = []struct {
	program string
	store   string // what devproxy's table calls its store
	args    func(h *home) []string
}{
	{"chromium", "Chromium", func(h *home) []string {
		return []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--user-data-dir=" + filepath.Join(h.dir, "chromium"),
		}
	}},
	// Firefox makes its profile by itself, in the place it finds right.
	{"firefox-esr", "Firefox", func(*home) []string { return []string{"--headless"} }},
}

// A browser is a running browser with the console open.
type browser struct {
	name   string
	store  string
	orders chan order
	done   chan string // "" or what went wrong
	cmd    *exec.Cmd
	out    *os.File // what it says; a pipe would be kept open by its helpers
	exited chan struct{}
}

// An order is one thing for the console to do.
type order struct {
	Do  string `json:"do"` // "fetch", "frame" or "open"
	URL string `json:"url"`
}

const console = `<!DOCTYPE html><title>console</title><script>
async function obey({do: what, url}) {
	switch (what) {
	case "fetch": // the answer may not be read, but it must have come
		await fetch(url, {mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(20000)});
		return;
	case "frame": {
		const frame = document.createElement("iframe");
		frame.src = url;
		document.body.replaceChildren(frame);
		return;
	}
	case "open":
		location.assign(url);
		await new Promise(() => {}); // of this page that is the end
	}
	throw Error("unknown order " + what);
}
onload = async () => {
	for (;;) {
		const order = await (await fetch("/order", {cache: "no-store"})).json();
		let problem = "";
		try { await obey(order) } catch (e) { problem = String(e) }
		await fetch("/done", {method: "POST", body: problem});
	}
};
</script><body>`

// startBrowsers starts every browser as the home's owner and returns once
// their scripts run.
func startBrowsers(t *testing.T, h *home) []*browser {
	t.Helper()
	var all []*browser
	for _, kind := range browserKinds {
		if _, err := exec.LookPath(kind.program); err != nil && os.Getenv("CI") != "true" {
			t.Logf("left out: %s is not installed", kind.program)
			continue
		}
		all = append(all, startBrowser(t, h, kind.program))
	}
	if len(all) == 0 {
		missing(t, "no browser is installed")
	}
	for _, b := range all {
		b.awake(t)
	}
	return all
}

// startBrowser starts one browser and does not wait for it.
func startBrowser(t *testing.T, h *home, program string) *browser {
	t.Helper()
	b := &browser{name: program, orders: make(chan order), done: make(chan string), exited: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, console)
	})
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		select {
		case o := <-b.orders:
			json.NewEncoder(w).Encode(o)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /done", func(w http.ResponseWriter, r *http.Request) {
		problem, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		select {
		case b.done <- string(problem):
		case <-r.Context().Done():
		}
	})
	desk := httptest.NewServer(mux)
	t.Cleanup(desk.Close)

	for _, kind := range browserKinds {
		if kind.program == program {
			b.store = kind.store
			b.cmd = exec.Command(tool(t, program), append(kind.args(h), desk.URL)...)
		}
	}
	b.cmd.Dir, b.cmd.Env = h.dir, h.env
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var err error
	if b.out, err = os.Create(filepath.Join(t.TempDir(), "output")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.out.Close() })
	b.cmd.Stdout, b.cmd.Stderr = b.out, b.out
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b.cmd.Wait()
		close(b.exited)
	}()
	t.Cleanup(func() {
		b.stop(t)
		desk.CloseClientConnections() // of orders that nobody will give
		if t.Failed() {
			t.Logf("the end of %s's output:\n%s", b.name, b.said())
		}
	})
	return b
}

// said returns the end of the browser's output: without a desktop it has much
// to complain about.
func (b *browser) said() string {
	text, err := os.ReadFile(b.out.Name())
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(text[max(0, len(text)-most):])
}

// stopBrowsers stops them side by side.
func stopBrowsers(t *testing.T, all []*browser) {
	t.Helper()
	var wg sync.WaitGroup
	for _, b := range all {
		wg.Go(func() { b.stop(t) })
	}
	wg.Wait()
}

// stop ends the browser and all its processes, so that none writes to the home
// any more.
func (b *browser) stop(t *testing.T) {
	t.Helper()
	syscall.Kill(-b.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	<-b.exited
	for deadline := time.Now().Add(patience); syscall.Kill(-b.cmd.Process.Pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("processes of %s are left", b.name)
			return
		}
	}
}

// give hands an order to the console's script, once that asks for one.
func (b *browser) give(t *testing.T, o order) {
	t.Helper()
	select {
	case b.orders <- o:
	case <-b.exited:
		t.Fatalf("%s ended by itself:\n%s", b.name, b.said())
	case <-time.After(patience):
		t.Fatalf("%s did not ask for orders in %v", b.name, patience)
	}
}

// obey gives an order and returns what went wrong, "" if nothing.
func (b *browser) obey(t *testing.T, o order) string {
	t.Helper()
	b.give(t, o)
	select {
	case problem := <-b.done:
		return problem
	case <-b.exited:
		t.Fatalf("%s ended by itself:\n%s", b.name, b.said())
	case <-time.After(patience):
		t.Fatalf("%s did not %s %s in %v", b.name, o.Do, o.URL, patience)
	}
	panic("unreachable")
}

// awake waits until the console's script runs: it can load pages.
func (b *browser) awake(t *testing.T) {
	t.Helper()
	if problem := b.fetch(t, "/"); problem != "" {
		t.Fatalf("%s cannot load its own page: %s", b.name, problem)
	}
}

// fetch loads a URL from a script and returns why it could not, "" if it could.
func (b *browser) fetch(t *testing.T, url string) string {
	t.Helper()
	return b.obey(t, order{"fetch", url})
}

// frame shows a page within the console; what comes of it only the page can
// tell.
func (b *browser) frame(t *testing.T, url string) {
	t.Helper()
	b.obey(t, order{"frame", url})
}

// open leaves the console for another page, as a click on a link does. It is
// the last order.
func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	b.give(t, order{"open", url})
}

// A page is a backend whose page reports back once a browser runs its script.
type page struct {
	url string // of the backend itself

	mu      sync.Mutex
	visits  int // given out
	reports map[string]report
	more    chan struct{} // closed and replaced at each report
}

// A report is what the page's script saw.
type report struct {
	Visit    string // which address was opened
	Protocol string // ALPN of the page itself
	Echo     string // what came back from the WebSocket
	Secure   bool   // the browser takes the page for secure
	Top      bool   // not in a frame
}

// greeting goes through the WebSocket and back.
const greeting = "fluffy tail"

const reporting = `<!DOCTYPE html><title>page</title><script>
const socket = new WebSocket("wss://" + location.host + "/echo");
socket.onopen = () => socket.send("` + greeting + `");
socket.onmessage = e => tell(e.data);
socket.onerror = () => tell("error");
function tell(echo) {
	fetch("/report", {method: "POST", body: JSON.stringify({
		visit: location.search.slice(1),
		protocol: performance.getEntriesByType("navigation")[0].nextHopProtocol,
		echo, secure: isSecureContext, top: window === top,
	})});
}
</script>`

func startPage(t *testing.T) *page {
	t.Helper()
	p := newPage()
	p.serve(t, nil)
	return p
}

// newPage makes one that is not served yet.
func newPage() *page {
	return &page{reports: make(map[string]report), more: make(chan struct{})}
}

// serve starts the backend, at any address if ln is nil.
func (p *page) serve(t *testing.T, ln net.Listener) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, reporting)
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var rep report
		if err := json.NewDecoder(r.Body).Decode(&rep); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reports[rep.Visit] = rep
		close(p.more)
		p.more = make(chan struct{})
	})
	mux.HandleFunc("GET /echo", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil) // which compares Origin and Host
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, text, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, text) != nil {
				return
			}
		}
	})
	backend := httptest.NewUnstartedServer(mux)
	if ln != nil {
		backend.Listener.Close()
		backend.Listener = ln
	}
	backend.Start()
	t.Cleanup(backend.Close)
	p.url = backend.URL
}

// visit returns an address of the page below base that no browser had yet,
// and a name for it.
func (p *page) visit(base string) (url, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visits++
	name = fmt.Sprintf("visit-%d", p.visits)
	return base + "?" + name, name
}

// reported returns what was reported of a visit so far.
func (p *page) reported(name string) (report, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.reports[name]
	return r, ok
}

// wait waits for the report of a visit.
func (p *page) wait(t *testing.T, name string) report {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		r, ok := p.reports[name]
		more := p.more
		p.mu.Unlock()
		if ok {
			return r
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no report of %s after %v", name, patience)
		}
	}
}
