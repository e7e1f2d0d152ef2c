package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devproxy/internal/doctor"
	"devproxy/internal/issuer"
	"devproxy/internal/portholder"
	"devproxy/internal/trust"
)

// TestDoctor provokes each finding, one at a time.
func TestDoctor(t *testing.T) {
	redirecting := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(p *patient)
		code   int

		check, subject string
		state          doctor.State
		detail, fix    string

		goState  doctor.State // of the client go
		goDetail string
	}{
		{"all is well", func(*patient) {}, exitDone, "certificate", "shop.localhost", doctor.OK, "root not sent", "", doctor.OK, ""},
		{"names", func(p *patient) { clear(p.names) }, exitDone,
			"resolve", "shop.localhost IPv4", doctor.Warn, "not found", "devproxy hosts sync", doctor.Warn, "does not find the name"},
		{"a name of another machine", func(p *patient) { p.names["shop.localhost"] = []netip.Addr{netip.MustParseAddr("203.0.113.7")} }, exitFailed,
			"resolve", "shop.localhost IPv4", doctor.Fail, "another machine: 203.0.113.7", "hosts sync", doctor.Fail, "another machine"},
		{"a family that nobody listens on", func(p *patient) {
			p.names["shop.localhost"] = append(p.names["shop.localhost"], netip.IPv6Loopback())
		}, exitDone,
			"resolve", "shop.localhost IPv6", doctor.Warn, "does not listen", "both families", doctor.OK, ""},
		{"not running", func(p *patient) { p.at = netip.MustParseAddrPort("127.0.0.1:1") }, exitDone,
			"port", "127.0.0.1:1", doctor.Warn, "nobody listens", "devproxy serve", doctor.Warn, "not running"},
		{"a port held by another program", func(p *patient) {
			p.at = p.listen(nil)
			p.holds[p.at] = portholder.Holder{PID: 4711, Command: "nginx"}
		}, exitFailed,
			"port", "127.0.0.1", doctor.Fail, "held by nginx (pid 4711)", "stop it", doctor.Fail, "nginx"},
		{"another CA", func(p *patient) { p.at = p.listen(p.certificates(newTestCA(p.t))) }, exitFailed,
			"certificate", "shop.localhost", doctor.Fail, "another CA of devproxy", "devproxy serve", doctor.Fail, "another CA"},
		{"another configuration", func(p *patient) {
			iss, err := issuer.New(p.ca, issuer.Config{Permit: func(string) error { return errors.New("no") }})
			if err != nil {
				p.t.Fatal(err)
			}
			p.at = p.listen(&tls.Config{GetCertificate: iss.GetCertificate})
		}, exitFailed,
			"certificate", "shop.localhost", doctor.Fail, "does not answer for it", "devproxy serve", doctor.Fail, "does not answer"},
		{"no CA", func(p *patient) { p.env["DEVPROXY_HOME"] = filepath.Join(p.home, "none") }, exitFailed,
			"ca", "none", doctor.Fail, "no CA yet", "devproxy trust", doctor.Fail, "no root yet"},
		{"a damaged CA", func(p *patient) { p.write("state/ca.pem", "x", 0o600) }, exitFailed,
			"ca", "ca.pem", doctor.Fail, "root", "devproxy ca rotate", doctor.Fail, "no root yet"},
		{"a host outside the constraints", func(p *patient) { p.toml += "\"shop.example\" = 1\n" }, exitFailed,
			"ca", "shop.example", doctor.Fail, "outside the constraints", "ca rotate", doctor.Fail, ""},
		{"no home", func(p *patient) { delete(p.env, "HOME"); delete(p.env, "DEVPROXY_HOME") }, exitFailed,
			"ca", "", doctor.Fail, "HOME is not set", "DEVPROXY_HOME", doctor.Fail, "no root yet"},
		{"a store", func(p *patient) { p.store.State = trust.NotTrusted }, exitFailed,
			"store", "System /anchors", doctor.Fail, "does not trust", "devproxy trust", doctor.Fail, "does not trust"},
		{"a store that cannot tell", func(p *patient) { p.store.State, p.store.Detail = trust.Unknown, "locked" }, exitDone,
			"store", "System", doctor.Unknown, "locked", "", doctor.Unknown, "locked"},
		{"a variable", func(p *patient) {
			p.env["SSL_CERT_FILE"] = p.write("corporate.pem", string(pemOf(newTestCA(p.t).Root())), 0o644)
		}, exitFailed,
			"environment", "SSL_CERT_FILE", doctor.Warn, "lacks the root", "devproxy exec", doctor.Fail, "SSL_CERT_FILE"},
		{"a proxy", func(p *patient) { p.env["HTTPS_PROXY"] = "http://proxy:3128" }, exitDone,
			"environment", "HTTPS_PROXY", doctor.Warn, "shop.localhost", "devproxy exec", doctor.Warn, "proxy"},
		{"a backend", func(p *patient) { p.backend.Close() }, exitFailed,
			"backend", "shop.localhost", doctor.Fail, "connection refused", "start the app", doctor.OK, ""},
		{"an app that leads to http", func(p *patient) { p.backend.Config.Handler = redirecting("http://shop.localhost/login") }, exitDone,
			"scheme", "shop.localhost", doctor.Warn, "ignores X-Forwarded-Proto", "ProxyFix", doctor.OK, ""},
		{"an app that goes round in circles", func(p *patient) { p.backend.Config.Handler = redirecting("https://shop.localhost/") }, exitFailed,
			"scheme", "shop.localhost", doctor.Fail, "in circles", "SECURE_PROXY_SSL_HEADER", doctor.OK, ""},
		{"a redirect port", func(p *patient) {
			p.toml = strings.Replace(p.toml, "redirect = []", "redirect = [\"127.0.0.1:2\"]", 1)
			p.holds[netip.MustParseAddrPort("127.0.0.1:2")] = portholder.Holder{PID: 7, Command: "apache2"}
		}, exitFailed,
			"port", "127.0.0.1:2", doctor.Fail, "apache2", "redirect = []", doctor.OK, ""},
		{"a wildcard", func(p *patient) { p.toml += "\"*.w.localhost\" = \"builtin:hello\"\n" }, exitDone,
			"resolve", "any.w.localhost", doctor.Warn, "not found", "routes of their own", doctor.Warn, "any.w.localhost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPatient(t)
			tt.change(p)
			r, code := p.examine()
			if code != tt.code || r.OK != (code == exitDone) || r.Schema != 1 {
				t.Errorf("exit code %d, ok %v, schema %d; want code %d", code, r.OK, r.Schema, tt.code)
			}
			p.expect(r, tt.check, tt.subject, tt.state, tt.detail, tt.fix)
			p.expectClient(r, "go", tt.goState, tt.goDetail)
			for _, c := range r.Checks {
				if (c.State == doctor.Fail || c.State == doctor.Warn) && (c.Detail == "" || c.Fix == "") {
					t.Errorf("neither reason nor fix: %+v", c)
				}
				if c.Commands == nil {
					t.Errorf("commands is null: %+v", c)
				}
			}
			if tt.state != doctor.OK && tt.goState == doctor.OK {
				return
			}
			for _, c := range r.Clients {
				if c.State != doctor.OK && c.State != doctor.Unknown && c.Fix == "" && tt.fix != "" {
					t.Errorf("no fix: %+v", c)
				}
			}
		})
	}
}

// TestDoctorConfiguration: a broken file is a finding, and the exit code that
// every command gives to it.
func TestDoctorConfiguration(t *testing.T) {
	p := newPatient(t)
	p.toml += "\"a b\" = 1\n\"c.localhost\" = \"ftp://x\"\n"
	r, code := p.examine()
	if code != exitUsage || r.OK || len(r.Checks) != 2 {
		t.Errorf("exit code %d, %+v; want %d and two mistakes", code, r, exitUsage)
	}
	p.expect(r, "config", "c.localhost", doctor.Fail, "devproxy.toml:6", "use")
}

// TestDoctorTarget: one route is looked at, the one that answers.
func TestDoctorTarget(t *testing.T) {
	p := newPatient(t)
	p.toml += "\"shop.localhost/api\" = \"builtin:hello\"\n\"other.localhost\" = 1\n"
	for _, tt := range []struct{ target, backends string }{
		{"shop.localhost", "shop.localhost shop.localhost/api"},
		{"SHOP.localhost.", "shop.localhost shop.localhost/api"},
		{"https://shop.localhost/", "shop.localhost"},
		{"https://shop.localhost/apis", "shop.localhost"},
		{"https://shop.localhost/api/x?y#z", "shop.localhost/api"},
		{fmt.Sprintf("shop.localhost:%d", p.at.Port()), "shop.localhost shop.localhost/api"},
	} {
		p.e.seen, p.e.report = evidence{}, doctorReport{}
		r, _ := p.examine(tt.target)
		var got []string
		for _, c := range r.Checks {
			if c.Check == "backend" {
				key, _, _ := strings.Cut(c.Subject, " ")
				got = append(got, key)
			}
		}
		if strings.Join(got, " ") != tt.backends {
			t.Errorf("%s: looked at %q, want %q", tt.target, got, tt.backends)
		}
	}
}

// TestDoctorExplains what is not a route: a server that the system trusts, and
// the same where it does not.
func TestDoctorExplains(t *testing.T) {
	p := newPatient(t)
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, code := p.examine("https://127.0.0.1:" + u.Port())
	if code != exitFailed || len(r.Clients) != 0 {
		t.Errorf("exit code %d, clients %v; want %d and none", code, r.Clients, exitFailed)
	}
	named := false
	for _, c := range r.Checks {
		named = named || c.Check == "verify" && c.State == doctor.Fail && c.Names["OpenSSL"] != "" && c.Names["Firefox"] != ""
	}
	if !named {
		t.Errorf("no cause with the clients' names: %+v", r.Checks)
	}

	p.e.report = doctorReport{}
	p.e.systemFiles = []string{p.write("trusted.pem", string(pemOf(server.Certificate())), 0o644)}
	if r, code = p.examine("https://127.0.0.1:" + u.Port()); code != exitDone {
		t.Errorf("trusted by the system: exit code %d, %+v; want %d", code, r.Checks, exitDone)
	}

	p.e.report = doctorReport{}
	r, code = p.examine(fmt.Sprintf("https://127.0.0.1:%d", p.at.Port()))
	if code != exitFailed {
		t.Errorf("devproxy's own, which the system does not trust: exit code %d, want %d", code, exitFailed)
	}
	p.expect(r, "verify", "127.0.0.1", doctor.Fail, "signed by devproxy's root", "devproxy trust")

	p.e.report = doctorReport{}
	server.Close()
	r, code = p.examine("nobody.localhost:" + u.Port())
	if code != exitFailed {
		t.Errorf("nobody listens: exit code %d, want %d", code, exitFailed)
	}
	p.expect(r, "connection", "nobody.localhost", doctor.Fail, "refused", "devproxy routes")

	p.e.report = doctorReport{}
	p.e.systemFiles = nil
	r, _ = p.examine(fmt.Sprintf("https://127.0.0.1:%d", p.at.Port()))
	p.expect(r, "verify", "127.0.0.1", doctor.Unknown, "cannot tell what this system trusts", "")
}

// TestCAAge: the CA's last months are announced.
func TestCAAge(t *testing.T) {
	ca := newTestCA(t)
	end := ca.Root().NotAfter
	for _, tt := range []struct {
		now  time.Time
		want doctor.State
	}{
		{time.Now(), doctor.OK},
		{end.AddDate(0, 0, -daysWarned-1), doctor.OK},
		{end.AddDate(0, 0, -daysWarned+1), doctor.Warn},
		{end.Add(-time.Second), doctor.Warn},
		{end, doctor.Fail},
		{end.AddDate(1, 0, 0), doctor.Fail},
	} {
		if got := caAge(ca, tt.now, "rotate"); got.State != tt.want || (got.Fix == "") != (tt.want == doctor.OK) {
			t.Errorf("on %s: got %+v, want %s", tt.now, got, tt.want)
		}
	}
}

// TestDoctorText is what a person reads: groups, the fix below its finding,
// the verdict last.
func TestDoctorText(t *testing.T) {
	a := testApp()
	a.printReport(doctorReport{
		Checks: []doctor.Check{
			{Check: "port", Subject: "127.0.0.1:443", Verdict: doctor.Verdict{State: doctor.Fail, Detail: "held by nginx", Fix: "stop it"}},
			{Check: "store", Subject: "System", Verdict: doctor.Verdict{State: doctor.Unknown, Detail: "locked"}, Commands: []string{"/bin/true"}},
		},
		Clients: []doctor.Client{{Client: "curl", Verdict: doctor.Verdict{State: doctor.OK}}},
	})
	want := `ports
  fail  127.0.0.1:443  held by nginx
                       fix: stop it

trust stores
  cannot tell  System  locked
                            /bin/true

clients
  ok  curl

1 problem, 1 cannot be told
`
	if got := a.stdout.(*strings.Builder).String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
