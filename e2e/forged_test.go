package e2e

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A shop is a server that presents a chain.
type shop struct {
	url    string
	hellos atomic.Int32 // clients that came
	visits atomic.Int32 // clients that liked the certificate
}

func openShop(t *testing.T, host string, chain tls.Certificate) *shop {
	t.Helper()
	s := &shop{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.visits.Add(1)
		io.WriteString(w, secret)
	}))
	ln, err := net.Listen("tcp", "0.0.0.0:0") // a leaf for an address has one of its own
	if err != nil {
		t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = ln
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refusals are what we want
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{chain},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			s.hellos.Add(1)
			return nil, nil
		},
		SessionTicketsDisabled: true,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + net.JoinHostPort(host, port) + "/"
	return s
}

// A judge is a program that trusts what the machine trusts. It fetches URLs
// and says of each what is wrong, "" if nothing.
type judge struct {
	name  string
	fetch func(t *testing.T, h *home, urls []string) []string
}

var judges = []judge{
	each("curl", func(t *testing.T, h *home, u *url.URL) result {
		return h.run(t, tool(t, "curl"), "--silent", "--show-error", "--max-time", "20", u.String())
	}),
	each("openssl", func(t *testing.T, h *home, u *url.URL) result {
		args := []string{"s_client", "-quiet", "-verify_return_error", "-connect", u.Host}
		if net.ParseIP(u.Hostname()) != nil {
			args = append(args, "-verify_ip", u.Hostname())
		} else {
			args = append(args, "-verify_hostname", u.Hostname(), "-servername", u.Hostname())
		}
		return h.ask(t, u, tool(t, "openssl"), args...)
	}),
	each("gnutls-cli", func(t *testing.T, h *home, u *url.URL) result {
		return h.ask(t, u, tool(t, "gnutls-cli"), "--port", u.Port(), u.Hostname())
	}),
	all("python ssl", func(t *testing.T, h *home) *exec.Cmd {
		return h.command(t, python(t), "-c", `
import sys, urllib.request
for url in sys.argv[1:]:
    try:
        urllib.request.urlopen(url, timeout=20).read()
        print("ok")
    except OSError as e:
        print(e)`)
	}),
	all("requests", func(t *testing.T, h *home) *exec.Cmd {
		return h.command(t, python(t, "requests"), "-c", `
import sys, requests
for url in sys.argv[1:]:
    try:
        requests.get(url, timeout=20)
        print("ok")
    except requests.exceptions.SSLError as e:
        print(e)`)
	}),
	all("node", func(t *testing.T, h *home) *exec.Cmd {
		cmd := h.command(t, tool(t, "node"), "-e", `
const fetch = url => new Promise(done => require("https")
	.get(url, response => response.on("end", () => done("ok")).resume())
	.on("error", e => done(e.code)));
(async () => { for (const url of process.argv.slice(1)) console.log(await fetch(url)) })();`)
		cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+h.rootFile())
		return cmd
	}),
	all("java", func(t *testing.T, h *home) *exec.Cmd {
		source, err := filepath.Abs("testdata/Fetch.java")
		if err != nil {
			t.Fatal(err)
		}
		return h.command(t, tool(t, "java"), source)
	}),
	{"go", func(t *testing.T, _ *home, urls []string) []string {
		// Not the system's pool, which a process reads only once.
		bundle, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(bundle)
		client := &http.Client{Timeout: patience, Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			DisableKeepAlives: true,
		}}
		var problems []string
		for _, u := range urls {
			problem := ""
			if resp, err := client.Get(u); err != nil {
				problem = err.Error()
			} else {
				resp.Body.Close()
			}
			problems = append(problems, problem)
		}
		return problems
	}},
}

// each makes a judge of a program that fetches one URL and fails unless all is
// well.
func each(name string, fetch func(t *testing.T, h *home, u *url.URL) result) judge {
	return judge{name, func(t *testing.T, h *home, urls []string) []string {
		var problems []string
		for _, text := range urls {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			problem := ""
			if got := fetch(t, h, u); got.code != 0 {
				problem = got.String()
			}
			problems = append(problems, problem)
		}
		return problems
	}}
}

// all makes a judge of a program that takes any number of URLs, and prints for
// each a line: "ok" or what is wrong. Some take long to start.
func all(name string, command func(t *testing.T, h *home) *exec.Cmd) judge {
	return judge{name, func(t *testing.T, h *home, urls []string) []string {
		cmd := command(t, h)
		cmd.Args = append(cmd.Args, urls...)
		lines := strings.Split(strings.TrimSpace(finish(t, cmd).must(t, 0).stdout), "\n")
		for i, line := range lines {
			if line == "ok" {
				lines[i] = ""
			}
		}
		return lines
	}}
}

// ask runs a program that hands its input to the server.
func (h *home) ask(t *testing.T, u *url.URL, name string, args ...string) result {
	t.Helper()
	cmd := h.command(t, name, args...)
	cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\nHost: " + u.Host + "\r\n\r\n")
	return finish(t, cmd)
}

// judge makes a running browser one.
func (b *browser) judge() judge {
	return judge{b.name, func(t *testing.T, _ *home, urls []string) []string {
		var problems []string
		for _, u := range urls {
			problems = append(problems, b.fetch(t, u))
		}
		return problems
	}}
}

// TestForgedLeaf signs with the key from the state folder, while everything on
// the machine trusts the root, for hosts that devproxy must never speak for.
func TestForgedLeaf(t *testing.T) {
	h := newHome(t)
	addHosts(t, "127.0.0.1", outerHost, innerHost, "app.localhost")
	addAddress(t, outerAddr)
	browsers := startBrowsers(t, h) // Firefox makes the profile that trust looks for
	trustAll(t, h)
	th := steal(t, h)

	shops := make([]*shop, len(presented))
	urls := make([]string, len(presented))
	for i, p := range presented {
		shops[i] = openShop(t, p.host, p.chain(t, th))
		urls[i] = shops[i].url
	}
	jury := slices.Clone(judges)
	for _, b := range browsers {
		jury = append(jury, b.judge())
	}
	for _, j := range jury {
		t.Run(j.name, func(t *testing.T) {
			for _, s := range shops {
				s.hellos.Store(0)
				s.visits.Store(0)
			}
			problems := j.fetch(t, h, urls)
			if len(problems) != len(urls) {
				t.Fatalf("%d verdicts, want %d: %q", len(problems), len(urls), problems)
			}
			for i, p := range presented {
				came, bought := shops[i].hellos.Load() > 0, shops[i].visits.Load() > 0
				switch {
				case !came:
					t.Errorf("%s: never came to the server: %s", p.name, problems[i])
				case p.inner && (problems[i] != "" || !bought):
					t.Errorf("%s: refused, which makes the other verdicts worthless: %s", p.name, problems[i])
				case !p.inner && (problems[i] == "" || bought):
					t.Errorf("%s: accepted (sent a request: %t)", p.name, bought)
				}
			}
		})
	}
}

// TestNoRootKey looks for the root's key in everything the state folder holds,
// in whatever form.
func TestNoRootKey(t *testing.T) {
	h := newHome(t)
	start(t, h, head)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	h.devproxy(t, "trust", "--user") // whatever it finds, it leaves its traces
	t.Cleanup(func() { h.devproxy(t, "untrust", "--user") })
	th := steal(t, h)

	if th.key.PublicKey.Equal(th.root.PublicKey) {
		t.Error("the key in ca.pem is the root's")
	}
	if !th.key.PublicKey.Equal(th.intermediate.PublicKey) {
		t.Error("the key in ca.pem is not the intermediate's, so that this test finds nothing")
	}
	err := filepath.WalkDir(h.state(), func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		forms := [][]byte{data}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			forms = append(forms, block.Bytes)
		}
		for _, form := range forms {
			if holdsKey(form, th.root.PublicKey.(*ecdsa.PublicKey)) {
				t.Errorf("%s holds the key of the root", path)
			}
		}
		if filepath.Base(path) == "ca.pem" && !slices.ContainsFunc(forms, func(form []byte) bool {
			return holdsKey(form, &th.key.PublicKey)
		}) {
			t.Error("the key in ca.pem was not found by the way the root's is looked for")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// holdsKey reports whether any 32 bytes of data are the private half of key.
func holdsKey(data []byte, key *ecdsa.PublicKey) bool {
	for i := range max(0, len(data)-31) {
		private, err := ecdsa.ParseRawPrivateKey(key.Curve, data[i:i+32])
		if err == nil && private.PublicKey.Equal(key) {
			return true
		}
	}
	return false
}

// addHosts makes names resolve until the test ends.
func addHosts(t *testing.T, addr string, names ...string) {
	t.Helper()
	before, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile("/etc/hosts", before, 0o644) })
	after := slices.Concat(before, []byte("\n"+addr+" "+strings.Join(names, " ")+"\n"))
	if err := os.WriteFile("/etc/hosts", after, 0o644); err != nil {
		t.Fatal(err)
	}
}

// addAddress gives the sandbox's loopback interface another address.
func addAddress(t *testing.T, addr string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ifr.SetInet4Addr(net.ParseIP(addr).To4()); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifr); err != nil {
		t.Fatalf("add %s to lo: %v", addr, err)
	}
}
