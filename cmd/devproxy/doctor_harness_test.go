package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devproxy/internal/doctor"
	"devproxy/internal/issuer"
	"devproxy/internal/portholder"
	"devproxy/internal/trust"
)

// A patient is a machine made for doctor: a CA, a devproxy that serves
// shop.localhost, an app behind it, stores that trust the root, and two
// clients. Tests change one thing of it before they examine.
type patient struct {
	t     *testing.T
	home  string
	env   map[string]string
	names map[string][]netip.Addr
	holds map[netip.AddrPort]portholder.Holder
	ca    *issuer.CA
	store trust.Status
	toml  string // %q is where devproxy listens
	at    netip.AddrPort

	backend *httptest.Server
	a       *app
	e       *examination
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{
		t: t, home: t.TempDir(),
		names: map[string][]netip.Addr{"shop.localhost": {netip.MustParseAddr("127.0.0.1")}},
		holds: map[netip.AddrPort]portholder.Holder{},
		store: trust.Status{Store: "System", Location: "/anchors", State: trust.Trusted},
	}
	state := filepath.Join(p.home, "state")
	var err error
	if p.ca, _, err = issuer.LoadOrCreate(state, nil); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(p.home, "bin")
	for _, name := range []string{"go", "node"} {
		p.write(filepath.Join("bin", name), "#!/bin/sh\n", 0o755)
	}
	bundle := p.write("system.pem", string(pemOf(p.ca.Root())), 0o644)
	p.env = map[string]string{"HOME": p.home, "DEVPROXY_HOME": state, "PATH": bin}
	p.backend = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	t.Cleanup(p.backend.Close)
	p.toml = "listen = [%q]\nredirect = []\n[routes]\n\"shop.localhost\" = \"" + p.backend.URL + "\"\n"
	p.at = p.listen(p.certificates(p.ca))

	p.a = newApp([]string{"devproxy"}, func(name string) string { return p.env[name] }, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
	p.e = &examination{
		app: p.a,
		resolver: doctor.Resolver{Lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			if addrs := p.names[host]; addrs != nil {
				return addrs, nil
			}
			return nil, &net.DNSError{Name: host, IsNotFound: true}
		}},
		goFinds: func(_ context.Context, host string) bool { return p.names[host] != nil },
		here:    onThisMachine,
		holder: func(addr netip.AddrPort) (portholder.Holder, error) {
			if h, ok := p.holds[addr]; ok {
				return h, nil
			}
			return portholder.Holder{}, portholder.ErrNotFound
		},
		stores: func(context.Context, string, *issuer.CA) []trust.Status { return []trust.Status{p.store} },
		python: func(context.Context, string) (doctor.Python, error) {
			return doctor.Python{}, errors.New("there is none")
		},
		curl:        func(context.Context, string) (int, error) { return 7088, nil },
		systemFiles: []string{bundle},
	}
	return p
}

// listen serves TLS on a free port until the test ends. Nil certificates: it
// closes every connection.
func (p *patient) listen(certificates *tls.Config) netip.AddrPort {
	p.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if certificates != nil {
				tls.Server(conn, certificates).HandshakeContext(p.t.Context())
			}
			conn.Close()
		}
	}()
	return addrPort(ln)
}

func (p *patient) certificates(ca *issuer.CA) *tls.Config {
	p.t.Helper()
	iss, err := issuer.New(ca, issuer.Config{})
	if err != nil {
		p.t.Fatal(err)
	}
	return &tls.Config{GetCertificate: iss.GetCertificate}
}

// examine runs doctor --json and returns its report and exit code.
func (p *patient) examine(args ...string) (doctorReport, int) {
	p.t.Helper()
	p.a.configFile = p.write("devproxy.toml", fmt.Sprintf(p.toml, p.at), 0o600)
	out := &bytes.Buffer{}
	p.a.stdout, p.a.ui.out = out, out
	before := p.contents()
	err := p.a.doctor(p.t.Context(), p.e, args, true)
	if after := p.contents(); after != before {
		p.t.Errorf("doctor changed something:\n%s\nwas:\n%s", after, before)
	}
	var r doctorReport
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			p.t.Fatalf("%v in:\n%s", err, out)
		}
	}
	if err == nil {
		return r, exitDone
	}
	return r, exitCode(err)
}

// contents lists every file of the home folder, with what it holds.
func (p *patient) contents() string {
	p.t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(p.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&list, path, info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			list.Write(data)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return list.String()
}

// expect checks one line of the report.
func (p *patient) expect(r doctorReport, check, subject string, state doctor.State, detail, fix string) {
	p.t.Helper()
	var near []string
	for _, c := range r.Checks {
		if c.Check != check {
			continue
		}
		near = append(near, fmt.Sprintf("%+v", c))
		if strings.Contains(c.Subject, subject) && c.State == state && strings.Contains(c.Detail, detail) && strings.Contains(c.Fix, fix) {
			return
		}
	}
	p.t.Errorf("no check %s %s: %s, …%s…, fix …%s…, but\n%s", check, subject, state, detail, fix, strings.Join(near, "\n"))
}

func (p *patient) expectClient(r doctorReport, client string, state doctor.State, detail string) {
	p.t.Helper()
	for _, c := range r.Clients {
		if c.Client == client {
			if c.State != state || !strings.Contains(c.Detail, detail) {
				p.t.Errorf("got %+v, want %s, …%s…", c, state, detail)
			}
			return
		}
	}
	p.t.Errorf("%s is not among the clients: %+v", client, r.Clients)
}

func (p *patient) write(name, text string, mode fs.FileMode) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
