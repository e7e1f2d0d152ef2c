package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// bundle is where Debian's clients find the system's roots.
const bundle = "/etc/ssl/certs/ca-certificates.crt"

// systemClient returns a client that reads the system's store at each
// handshake, which Go's own does once only.
func (s *server) systemClient(t *testing.T) *http.Client {
	t.Helper()
	client := s.client(t)
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // in favour of:
		VerifyConnection: func(state tls.ConnectionState) error {
			pem, err := os.ReadFile(bundle)
			if err != nil {
				return err
			}
			options := x509.VerifyOptions{DNSName: state.ServerName, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
			options.Roots.AppendCertsFromPEM(pem)
			for _, cert := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(cert)
			}
			_, err = state.PeerCertificates[0].Verify(options)
			return err
		},
	}
	return client
}

// A toil is unaided clients started again and again.
type toil struct {
	mu       sync.Mutex
	done     map[string]int
	failures []string
}

// run starts each client, one after the other has ended, until ctx ends.
func (l *toil) run(ctx context.Context, t *testing.T, h *home, url string, names ...string) *sync.WaitGroup {
	t.Helper()
	l.done = make(map[string]int)
	var wg sync.WaitGroup
	for _, c := range unaidedClients {
		for _, name := range names {
			if c.name != name {
				continue
			}
			words := c.argv(t, url)
			wg.Go(func() {
				for ctx.Err() == nil {
					cmd := exec.Command(words[0], words[1:]...)
					cmd.Env = h.env
					out, err := cmd.CombinedOutput()
					l.mu.Lock()
					if l.done[name]++; err != nil || !strings.Contains(string(out), secret) {
						l.failures = append(l.failures, fmt.Sprintf("%s: %v: %s", name, err, out))
					}
					l.mu.Unlock()
				}
			})
		}
	}
	return &wg
}

// TestRotateTrusted rotates a trusted CA under a running devproxy. Requests on
// connections old and new, clients that start and read the system's store, and
// browsers that run: nobody notices.
func TestRotateTrusted(t *testing.T) {
	h := newHome(t)
	p := startPage(t)
	s := start(t, h, usual+fmt.Sprintf("[routes]\n\"app.localhost\" = %q\n\"shown.localhost\" = %q\n\"page.localhost\" = %q\n",
		echo(t), startShown(t), p.url))
	settle(t)
	h.devproxy(t, "hosts", "sync").must(t, 0)
	t.Cleanup(func() { h.devproxy(t, "hosts", "clean").must(t, 0) })
	clean := readMachine(t)
	browsers := startBrowsers(t, h)
	trustAll(t, h)
	for _, b := range browsers {
		if problem := b.fetch(t, s.url("page.localhost", "/")); problem != "" {
			t.Errorf("%s before: %s", b.name, problem)
		}
	}

	ctx, end := context.WithCancel(t.Context())
	defer end()
	l := &load{client: func() *http.Client { return s.systemClient(t) }}
	started := &toil{}
	loads := []*sync.WaitGroup{l.run(ctx, t, s, "app.localhost"), started.run(ctx, t, h, s.url("shown.localhost", "/"), "curl", "python", "wget")}
	defer func() {
		for _, wg := range loads {
			wg.Wait()
		}
	}()
	defer end()

	databases := h.databases(t, ".local/share/pki/nssdb", ".config/mozilla/firefox/*")
	for range rounds(1, 20) {
		before := h.root(t)
		begin := time.Now()
		h.devproxy(t, "ca", "rotate").must(t, 0)
		t.Logf("rotate took %v", time.Since(begin).Round(time.Millisecond))
		if h.root(t).Equal(before) {
			t.Fatal("the root is the old one")
		}
		for _, b := range browsers { // whose connections the server lets live
			if problem := b.fetch(t, s.url("page.localhost", "/")); problem != "" {
				t.Errorf("%s after: %s", b.name, problem)
			}
		}
		for _, dir := range databases {
			if got := h.nicknames(t, dir); len(got) != 1 {
				t.Errorf("%s trusts %q, want one root of devproxy", dir, got)
			}
		}
		if got := systemRoots(t); len(got) != 1 || !got[0].Equal(h.root(t)) {
			t.Errorf("the system's store holds %d roots of devproxy, want the new one only", len(got))
		}
	}
	end()
	for _, wg := range loads {
		wg.Wait()
	}

	failures := append(l.failures, started.failures...)
	for _, f := range failures[:min(len(failures), 10)] {
		t.Error(f)
	}
	t.Logf("%d requests, %d messages on %d WebSockets, programs started %v; %d failed",
		l.requests.Load(), l.messages.Load(), loadSockets, started.done, len(failures))
	for _, name := range []string{"curl", "python", "wget"} {
		if started.done[name] < 10 {
			t.Errorf("%s started %d times proves little", name, started.done[name])
		}
	}

	stopBrowsers(t, browsers) // and so their connections
	browsers = startBrowsers(t, h)
	h.agree(t, "rotated", browsers, true)
	for _, b := range browsers {
		b.mustOpen(t, s, p)
	}
	stopBrowsers(t, browsers)
	h.timed(t, "untrust")
	clean.mustBe(t, readMachine(t))
}

// root returns the home's root certificate.
func (h *home) root(t *testing.T) *x509.Certificate {
	t.Helper()
	certs := parseAll(t, h.rootFile())
	if len(certs) != 1 {
		t.Fatalf("%s holds %d certificates, want 1", h.rootFile(), len(certs))
	}
	return certs[0]
}

// systemRoots returns devproxy's roots in the system's bundle.
func systemRoots(t *testing.T) []*x509.Certificate {
	t.Helper()
	var ours []*x509.Certificate
	for _, cert := range parseAll(t, bundle) {
		if strings.Join(cert.Subject.Organization, "") == "devproxy" {
			ours = append(ours, cert)
		}
	}
	return ours
}

func parseAll(t *testing.T, file string) []*x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(errors.Join(errors.New(file), err))
		}
		certs = append(certs, cert)
	}
	return certs
}
