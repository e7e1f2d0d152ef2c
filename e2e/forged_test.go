package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
	"time"

	"golang.org/x/sys/unix"
)

// A thief has what is in ca.pem.
type thief struct {
	root, intermediate *x509.Certificate
	key                *ecdsa.PrivateKey
}

func steal(t *testing.T, h *home) *thief {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.state(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	th := &thief{}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			certs = append(certs, cert)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			th.key = key.(*ecdsa.PrivateKey)
		}
	}
	if len(certs) != 2 || th.key == nil {
		t.Fatalf("ca.pem has %d certificates, key %t; want 2 and a key", len(certs), th.key != nil)
	}
	th.root, th.intermediate = certs[0], certs[1]
	return th
}

// An authority signs with a key, under the name of a certificate that need not
// belong to it.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (th *thief) authority() authority { return authority{th.intermediate, th.key} }

// sign makes a certificate with a key of its own. What template leaves out is
// as devproxy has it, so that nothing but the name gives it away.
func (a authority) sign(t *testing.T, template x509.Certificate) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-24*time.Hour), time.Now().AddDate(0, 0, 60)
	if !template.IsCA {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	// Only the name and key identifier of the issuer: x509 would not sign for
	// one whose key we do not have.
	issuer := &x509.Certificate{RawSubject: a.cert.RawSubject, SubjectKeyId: a.cert.SubjectKeyId}
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// subordinate makes a CA that constrains nothing.
func (a authority) subordinate(t *testing.T, name pkix.Name) authority {
	t.Helper()
	return a.sign(t, x509.Certificate{
		Subject:               name,
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

// with returns what a server presents: the leaf and the rest of its chain.
func (a authority) with(chain ...*x509.Certificate) tls.Certificate {
	c := tls.Certificate{PrivateKey: a.key, Certificate: [][]byte{a.cert.Raw}}
	for _, cert := range chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// The hosts of the test. The outer ones are outside what devproxy's root may
// sign for, and the machine finds them all at itself.
const (
	innerHost, outerHost = "app.test", "foo.example.com"
	innerAddr, outerAddr = "127.0.0.1", "192.0.2.7"
)

func named(names ...string) x509.Certificate { return x509.Certificate{DNSNames: names} }

func addressed(addr string) x509.Certificate {
	return x509.Certificate{IPAddresses: []net.IP{net.ParseIP(addr)}}
}

// presented are the chains that a thief can make. Those for inner hosts are
// the control: all clients accept what is made in the same way.
var presented = []struct {
	name  string
	host  string // as clients call it
	inner bool
	chain func(t *testing.T, th *thief) tls.Certificate
}{
	{"inner name", innerHost, true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(innerHost)).with(th.intermediate)
	}},
	{"inner name below localhost", "app.localhost", true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named("app.localhost")).with(th.intermediate)
	}},
	{"inner name, root sent", innerHost, true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(innerHost)).with(th.intermediate, th.root)
	}},
	{"inner address", innerAddr, true, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, addressed(innerAddr)).with(th.intermediate)
	}},

	{"outer name", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(outerHost)).with(th.intermediate)
	}},
	{"outer name, root sent", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(outerHost)).with(th.intermediate, th.root)
	}},
	{"outer name beside an inner one", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named(innerHost, outerHost)).with(th.intermediate)
	}},
	{"wildcard", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, named("*.example.com")).with(th.intermediate)
	}},
	{"common name only", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, x509.Certificate{Subject: pkix.Name{CommonName: outerHost}}).with(th.intermediate)
	}},
	{"outer address", outerAddr, false, func(t *testing.T, th *thief) tls.Certificate {
		return th.authority().sign(t, addressed(outerAddr)).with(th.intermediate)
	}},
	{"subordinate CA", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		sub := th.authority().subordinate(t, pkix.Name{Organization: []string{"thief"}})
		return sub.sign(t, named(outerHost)).with(sub.cert, th.intermediate, th.root)
	}},
	// RFC 5280, section 4.2.1.9: the path length does not count a CA with the
	// name of its issuer.
	{"subordinate CA with the intermediate's name", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		sub := th.authority().subordinate(t, th.intermediate.Subject)
		return sub.sign(t, named(outerHost)).with(sub.cert, th.intermediate, th.root)
	}},
	{"subordinate CA, inner name", innerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		sub := th.authority().subordinate(t, pkix.Name{Organization: []string{"thief"}})
		return sub.sign(t, named(innerHost)).with(sub.cert, th.intermediate)
	}},
	{"in the name of the root", outerHost, false, func(t *testing.T, th *thief) tls.Certificate {
		return authority{th.root, th.key}.sign(t, named(outerHost)).with(th.root)
	}},
}

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
