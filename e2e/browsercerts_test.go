package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const filePassword = "secret words"

// clientFile has devproxy sign a client certificate for an RSA key, and writes
// NAME.p12 with both and all of the chain, and a file with its password. It
// returns their paths.
func clientFile(t *testing.T, h *home, name string) (file, password string) {
	t.Helper()
	openssl := tool(t, "openssl")
	h.run(t, openssl, "req", "-new", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN="+name, "-keyout", "client-key.pem", "-out", "client.csr").must(t, 0)
	h.devproxy(t, "cert", "sign", "--client", "client.csr").must(t, 0)
	password = h.write(t, "password.txt", filePassword+"\n")
	file = filepath.Join(h.work, "client.p12")
	h.run(t, openssl, "pkcs12", "-export", "-in", "client.pem", "-inkey", "client-key.pem", "-certfile", h.rootFile(),
		"-out", file, "-passout", "file:"+password).must(t, 0)
	return file, password
}

// A doorkeeper is an https server that asks for client certificates of
// devproxy's CA by the name of its root, and notes who comes.
type doorkeeper struct {
	url string

	mu      sync.Mutex
	opened  map[string]string // by path: who opened the page
	reports map[string]string // who opened it by the word of its script, and who told
}

const doorPage = `<!DOCTYPE html><title>door</title><p>You are <b id=who>%s</b>.<script>
fetch(location.pathname, {method: "POST", body: document.getElementById("who").textContent});
</script>`

func startDoorkeeper(t *testing.T, h *home) *doorkeeper {
	t.Helper()
	th := steal(t, h)
	d := &doorkeeper{opened: map[string]string{}, reports: map[string]string{}}
	pool := x509.NewCertPool()
	pool.AddCert(th.root)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if chains := r.TLS.VerifiedChains; len(chains) > 0 {
			who = fmt.Sprint(chains[0][0].Subject.CommonName, ", ", chains[0][0].PublicKeyAlgorithm)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if r.Method == http.MethodPost {
			text, _ := io.ReadAll(r.Body)
			d.reports[r.URL.Path] = fmt.Sprintf("%s; told by %s", text, who)
			return
		}
		d.opened[r.URL.Path] = who
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, doorPage, who)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{th.authority().sign(t, named("door.localhost")).with(th.intermediate)},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    pool,
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d.url = "https://door.localhost:" + port
	return d
}

// admits has every browser open a page of a new doorkeeper, since browsers
// remember for each what they presented, and compares who came.
func admits(t *testing.T, h *home, browsers []*browser, want string) {
	t.Helper()
	d := startDoorkeeper(t, h)
	for _, b := range browsers {
		path := "/" + b.name
		b.frame(t, d.url+path)
		var opened, report string
		eventually(t, func() string { return b.name + " did not show the page" }, func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			opened, report = d.opened[path], d.reports[path]
			return report != ""
		})
		if opened != want || report != want+"; told by "+want {
			t.Errorf("%s came as %q, and its page says %q; want %q", b.name, opened, report, want)
		}
	}
}

// presentAny has browsers present whatever certificate they have without asking
// the person, until the test ends.
func presentAny(t *testing.T) {
	t.Helper()
	for path, policy := range map[string]string{
		"/etc/chromium/policies/managed/devproxy-e2e.json": `{"AutoSelectCertificateForUrls": ["{\"pattern\":\"*\",\"filter\":{}}"]}`,
		"/etc/firefox/policies/policies.json": `{"policies": {"Preferences": {
			"security.default_personal_cert": {"Value": "Select Automatically", "Status": "locked"}}}}`,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(policy), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(path) })
	}
}

// TestBrowserCertificates gives browsers a client certificate while they run, and
// takes it away again. The server knows the root only, so that they have to send
// the chain. TestBrowserClientAuth does it with an ECDSA key and new folders.
func TestBrowserCertificates(t *testing.T) {
	presentAny(t)
	layout := layouts[0]
	h := newHome(t)
	for _, dir := range layout.folders {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.devproxy(t, "trust", "--user").must(t, 0)
	browsers := startBrowsers(t, h)
	admits(t, h, browsers, "nobody")

	file, password := clientFile(t, h, "bob")
	add := func() result {
		return h.devproxy(t, "trust", "--client", file, "--password-file", password).must(t, 0)
	}
	added, again := add(), add()
	for _, b := range browsers {
		mustList(t, added, "added", b.store)
		mustList(t, again, "there already", b.store)
	}
	admits(t, h, browsers, "bob, RSA")
	removed := h.devproxy(t, "untrust", "--client", file, "--password-file", password).must(t, 0)
	for _, b := range browsers {
		mustList(t, removed, "removed", b.store+", client certificate")
	}
	admits(t, h, browsers, "nobody")
	stopBrowsers(t, browsers)
	for _, dir := range h.databases(t, layout.chromium, layout.firefox+"/*") {
		list := h.run(t, certutil(t), "-L", "-d", "sql:"+dir).must(t, 0).stdout +
			h.run(t, certutil(t), "-K", "-d", "sql:"+dir).stdout
		if strings.Contains(list, "-client") || strings.Contains(list, "-chain") {
			t.Errorf("%s still holds\n%s", dir, list)
		}
	}
	h.devproxy(t, "untrust").must(t, 0)
}

// TestClientAsRoot adds a client certificate as "sudo devproxy" does: the file
// is read, and the databases are written, as the one who typed it.
func TestClientAsRoot(t *testing.T) {
	const name, uid = "fluffy", 54323
	h := addUser(t, name, uid)
	root := newHome(t, "SUDO_USER="+name, fmt.Sprintf("SUDO_UID=%d", uid), fmt.Sprintf("SUDO_GID=%d", uid), "LOGNAME=root", "USER=root")
	root.work = h.work
	clean := readMachine(t, root)
	root.devproxy(t, "trust", "--user").must(t, 0)
	file, password := clientFile(t, h, "alice@example.com")

	got := root.devproxy(t, "trust", "--client", filepath.Base(file), "--password-file", password).must(t, 0)
	mustList(t, got, "added", "Chromium")
	mustList(t, got, "added", "Firefox")
	h.owned(t)
	mustList(t, h.devproxy(t, "trust", "--client", file, "--password-file", password).must(t, 0), "there already", "Chromium")

	// Neither needs root, and nothing of root's has come into being.
	got = root.devproxy(t, "untrust").must(t, 0)
	mustList(t, got, "removed", "Chromium, client certificate")
	mustList(t, got, "removed", "Firefox, client certificate")
	h.owned(t)
	clean.mustBe(t, readMachine(t, root))
	for _, dir := range []string{".local/share/pki", ".config/mozilla", ".mozilla"} {
		if fileExists(filepath.Join(h.dir, dir)) {
			t.Errorf("~/%s is left", dir)
		}
	}
}
