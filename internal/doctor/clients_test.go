package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A scene is a machine with all clients, a system that trusts our root, and a
// route that everyone finds; tests change one thing of it.
type scene struct {
	Machine
	ours, other *testCA
	env         map[string]string
	route       Route
	system      string // the bundle, with our root and another
	foreign     string // a bundle without our root
	root        string // our root alone
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{ours: newTestCA(t, "devproxy"), other: newTestCA(t, "corporate"), env: map[string]string{}}
	s.system = file(t, "system.pem", s.other.root, s.ours.root)
	s.foreign = file(t, "foreign.pem", s.other.root)
	s.root = file(t, "root.pem", s.ours.root)
	bin := t.TempDir()
	for _, r := range rules() {
		for _, name := range r.programs {
			write(t, filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755)
		}
	}
	java := filepath.Join(t.TempDir(), "jdk")
	write(t, filepath.Join(java, "bin/java"), nil, 0o755)
	write(t, filepath.Join(java, "lib/security/cacerts"), append([]byte{0xfe, 0xed, 0xfe, 0xed}, s.ours.root.Raw...), 0o644)
	if err := os.Remove(filepath.Join(bin, "java")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(java, "bin/java"), filepath.Join(bin, "java")); err != nil {
		t.Fatal(err)
	}
	s.Machine = Machine{
		Env:         func(name string) string { return s.env[name] },
		Home:        t.TempDir(),
		Path:        bin,
		SystemFiles: []string{s.system},
		Root:        s.ours.root,
		Handshake:   s.ours.accepts,
		Stores: []Store{
			{Name: "System", Verdict: Verdict{State: OK}},
			{Name: "Chromium", Verdict: Verdict{State: OK}},
			{Name: "Firefox", Verdict: Verdict{State: OK}},
		},
		Python:     func(context.Context, string) (Python, error) { return Python{File: s.system, Certifi: s.foreign}, nil },
		Curl:       func(context.Context, string) (int, error) { return 7088, nil },
		SystemNode: func(string) bool { return false },
		Trust:      "devproxy trust",
		Exec:       "devproxy exec --",
	}
	s.route = Route{
		Host: "shop.localhost", GoFinds: true, Served: Verdict{State: OK}, Names: "devproxy hosts sync",
		Addresses: []Address{
			{netip.MustParseAddr("127.0.0.1"), true, true},
			{netip.MustParseAddr("::1"), true, true},
		},
	}
	return s
}

// verdict returns what the table says of one client.
func (s *scene) verdict(t *testing.T, client string) Verdict {
	t.Helper()
	for _, c := range s.Clients(t.Context(), []Route{s.route}) {
		if c.Client == client {
			return c.Verdict
		}
	}
	return Verdict{State: "not in the table"}
}

// installed is where the fake clients of a scene are: they are not the
// distribution's, so variables have to name what they read.
func TestClients(t *testing.T) {
	const exec = "devproxy exec -- "
	notFound := func(s *scene) { s.route.Addresses = nil }
	systemNode := func(s *scene) { s.SystemNode = func(string) bool { return true } }
	untrusted := func(s *scene) {
		s.SystemFiles = []string{s.foreign}
		s.Python = func(context.Context, string) (Python, error) { return Python{File: s.foreign, Certifi: s.foreign}, nil }
		for i := range s.Stores {
			s.Stores[i].Verdict = Verdict{State: Fail}
		}
	}
	set := func(name, value string) func(*scene) {
		return func(s *scene) {
			s.env[name] = strings.NewReplacer("FOREIGN", s.foreign, "ROOT", s.root, "SYSTEM", s.system).Replace(value)
		}
	}
	all := func(fs ...func(*scene)) func(*scene) {
		return func(s *scene) {
			for _, f := range fs {
				f(s)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*scene)
		client string
		state  State
		detail string // part
		fix    string // part
	}{
		{"its own list", all(), "node", Warn, "no store but its own list", exec + "node"},
		{"its own list", all(), "deno", Warn, "no store but its own list", exec + "deno"},
		{"its own list", all(), "requests", Warn, "no store but its own list", exec + "python3"},
		{"the system's", all(), "python", OK, "", ""},
		{"the system's", all(), "go", OK, "", ""},
		{"its own store", all(), "chromium", OK, "", ""},
		{"its own store", all(), "firefox", OK, "", ""},
		{"its installation's", all(), "java", OK, "cacerts", ""},
		{"not the distribution's", all(), "curl", Unknown, "not the system's", ""},
		{"which library", all(), "wget", Unknown, "TLS library", ""},

		{"Debian's", all(systemNode), "node", OK, "", ""},
		{"Debian's, untrusted", all(systemNode, untrusted), "node", Fail, "lacks it", "devproxy trust"},
		{"Debian's, foreign file", all(systemNode, set("SSL_CERT_FILE", "FOREIGN")), "node", Fail, "SSL_CERT_FILE points to", exec + "node"},
		{"no name either", notFound, "node", Warn, "does not find", "hosts sync && " + exec + "node"},
		{"added", set("NODE_EXTRA_CA_CERTS", "ROOT"), "node", OK, "by NODE_EXTRA_CA_CERTS", ""},
		{"added, foreign", set("NODE_EXTRA_CA_CERTS", "FOREIGN"), "node", Warn, "lacks the root", exec},
		{"added, missing", set("NODE_EXTRA_CA_CERTS", "/none.pem"), "node", Warn, "is not there", exec},
		{"system CAs", set("NODE_USE_SYSTEM_CA", "1"), "node", Warn, "its own list", exec},
		{"added and more", all(set("NODE_EXTRA_CA_CERTS", "ROOT"), set("NODE_OPTIONS", "--use-openssl-ca")), "node", Unknown, "NODE_OPTIONS", ""},
		{"other options", all(set("NODE_EXTRA_CA_CERTS", "ROOT"), set("NODE_OPTIONS", "--inspect")), "node", OK, "", ""},
		{"off", set("NODE_TLS_REJECT_UNAUTHORIZED", "0"), "node", Warn, "verification off", "unset NODE_TLS_REJECT_UNAUTHORIZED"},
		{"added", set("DENO_CERT", "ROOT"), "deno", OK, "", ""},

		{"foreign file", set("SSL_CERT_FILE", "FOREIGN"), "python", Fail, "SSL_CERT_FILE points to", exec + "python3"},
		{"our file", all(untrusted, set("SSL_CERT_FILE", "ROOT")), "python", OK, "by SSL_CERT_FILE", ""},
		{"foreign file", set("SSL_CERT_FILE", "FOREIGN"), "go", Fail, "SSL_CERT_FILE points to", exec + "go"},
		{"foreign file", set("CURL_CA_BUNDLE", "FOREIGN"), "curl", Fail, "CURL_CA_BUNDLE points to", exec + "curl"},
		{"our file", set("CURL_CA_BUNDLE", "ROOT"), "curl", OK, "by CURL_CA_BUNDLE", ""},
		{"first counts", all(set("CURL_CA_BUNDLE", "FOREIGN"), set("SSL_CERT_FILE", "ROOT")), "curl", Fail, "CURL_CA_BUNDLE", ""},
		{"not curl's", all(set("SSL_CERT_FILE", "FOREIGN"), set("CURL_CA_BUNDLE", "ROOT")), "curl", OK, "", ""},
		{"foreign file", set("REQUESTS_CA_BUNDLE", "FOREIGN"), "requests", Fail, "REQUESTS_CA_BUNDLE", exec},
		{"our file", set("REQUESTS_CA_BUNDLE", "SYSTEM"), "requests", OK, "by REQUESTS_CA_BUNDLE", ""},
		{"not its variable", set("SSL_CERT_FILE", "ROOT"), "requests", Warn, "", exec},
		{"our file", set("GIT_SSL_CAINFO", "ROOT"), "git", OK, "", ""},
		{"folder wins", all(set("GIT_SSL_CAINFO", "ROOT"), set("GIT_SSL_CAPATH", "/nowhere")), "git", Fail, "GIT_SSL_CAPATH", exec},
		{"off", set("GIT_SSL_NO_VERIFY", "1"), "git", Warn, "verification off", "unset GIT_SSL_NO_VERIFY"},
		{"trust store", set("JAVA_TOOL_OPTIONS", "-Xmx1g -Djavax.net.ssl.trustStore=FOREIGN"), "java", Fail, "JAVA_TOOL_OPTIONS points to", "unset"},
		{"trust store gone", set("JDK_JAVA_OPTIONS", "-Djavax.net.ssl.trustStore=/none"), "java", Fail, "cannot be read", "unset"},
		{"not its variable", set("SSL_CERT_FILE", "FOREIGN"), "chromium", OK, "", ""},
		{"not its variable", set("SSL_CERT_FILE", "FOREIGN"), "java", OK, "", ""},

		{"untrusted", untrusted, "python", Fail, "does not trust the root", "devproxy trust"},
		{"untrusted", untrusted, "go", Fail, "does not trust the root", "devproxy trust"},
		{"untrusted", untrusted, "chromium", Fail, "its store does not trust", "devproxy trust"},
		{"untrusted", untrusted, "firefox", Fail, "its store does not trust", "devproxy trust"},
		{"one profile of two", func(s *scene) { s.Stores = append(s.Stores, Store{Name: "Firefox", Verdict: Verdict{State: Fail}}) }, "firefox", Fail, "its store", ""},
		{"a snap's", func(s *scene) {
			s.Stores = append(s.Stores, Store{Name: "Chromium (snap)", Verdict: Verdict{State: Unknown}})
		}, "chromium", Unknown, "", ""},
		{"no store", func(s *scene) { s.Stores = nil }, "firefox", Unknown, "no store", ""},
		{"the system's row", func(s *scene) { s.Stores[0].Verdict = Verdict{Fail, "half done", ""} }, "go", Fail, "half done", "devproxy trust"},
		{"no root", func(s *scene) { s.Root = nil }, "go", Fail, "no root yet", "devproxy trust"},
		{"another Java row", func(s *scene) {
			s.Stores = append(s.Stores, Store{Name: "Java", Location: s.foreign, Verdict: Verdict{State: Fail}})
		}, "java", OK, "", ""},

		{"name", notFound, "python", Warn, "does not find the name shop.localhost", "devproxy hosts sync"},
		{"name", notFound, "java", Warn, "does not find", "hosts sync"},
		{"name", notFound, "go", Warn, "does not find", "hosts sync"},
		{"name", notFound, "chromium", OK, "", ""},
		{"name", notFound, "firefox", OK, "", ""},
		{"name", all(notFound, set("CURL_CA_BUNDLE", "ROOT")), "curl", OK, "", ""},
		{"name", all(notFound, set("GIT_SSL_CAINFO", "ROOT")), "git", OK, "", ""},
		{"name", all(notFound, set("NODE_EXTRA_CA_CERTS", "ROOT")), "node", Warn, "does not find", "hosts sync"},
		{"an old curl", all(notFound, set("CURL_CA_BUNDLE", "ROOT"), func(s *scene) {
			s.Curl = func(context.Context, string) (int, error) { return 7081, nil }
		}), "curl", Warn, "does not find", "hosts sync"},
		{"an unknown curl", all(notFound, set("GIT_SSL_CAINFO", "ROOT"), func(s *scene) {
			s.Curl = func(context.Context, string) (int, error) { return 0, errors.New("no answer") }
		}), "git", Warn, "does not find", "hosts sync"},
		{"underscore", func(s *scene) { s.route.Host = "my_app.localhost" }, "java", Fail, "underscore", "hyphen"},
		{"underscore", func(s *scene) { s.route.Host = "my_app.localhost" }, "go", OK, "", ""},
		{"one label", func(s *scene) { s.route.Host = "localhost" }, "java", Warn, "as it has no dot", "app.localhost"},
		{"one label", func(s *scene) { s.route.Host = "localhost" }, "go", OK, "", ""},
		{"one label", func(s *scene) { s.route.Host = "localhost" }, "chromium", OK, "", ""},
		{"not .localhost", func(s *scene) { s.route.Host, s.route.Addresses = "shop.test", nil }, "chromium", Warn, "does not find", "hosts sync"},
		{"only cgo", func(s *scene) { s.route.GoFinds = false }, "go", Warn, "cgo", "hosts sync"},
		{"only cgo", func(s *scene) { s.route.GoFinds = false }, "python", OK, "", ""},
		{"elsewhere", func(s *scene) { s.route.Addresses[0].Here = false }, "python", Fail, "another machine", ""},
		{"elsewhere", func(s *scene) { s.route.Addresses[0].Here = false }, "chromium", OK, "", ""},
		{"one family unheard", func(s *scene) { s.route.Addresses[1].Answers = false }, "java", Warn, "does not listen", "both families"},
		{"one family unheard", func(s *scene) { s.route.Addresses[1].Answers = false }, "python", OK, "", ""},
		{"no family heard", func(s *scene) { s.route.Addresses[0].Answers, s.route.Addresses[1].Answers = false, false }, "python", Fail, "does not listen", ""},
		{"lookup fails", func(s *scene) { s.route.Addresses, s.route.LookupErr = nil, errors.New("broken") }, "python", Unknown, "broken", ""},
		{"not running", func(s *scene) { s.route.Served = Verdict{Warn, "not running", "devproxy serve"} }, "chromium", Warn, "not running", "devproxy serve"},
		{"wrong certificate", func(s *scene) { s.route.Served = Verdict{Fail, "other CA", ""} }, "go", Fail, "other CA", ""},

		{"proxy", set("HTTPS_PROXY", "http://p:3128"), "go", Warn, "goes through the proxy", exec},
		{"proxy", set("https_proxy", "http://p:3128"), "python", Warn, "goes through the proxy", exec},
		{"proxy", set("HTTPS_PROXY", "http://p:3128"), "chromium", OK, "", ""},
		{"proxy", set("HTTPS_PROXY", "http://p:3128"), "java", OK, "", ""},
		{"proxy kept out", all(set("HTTPS_PROXY", "http://p"), set("NO_PROXY", "a, localhost")), "go", OK, "", ""},
		{"proxy half kept out", all(set("HTTPS_PROXY", "http://p"), set("NO_PROXY", "localhost"), set("no_proxy", "a")), "go", Warn, "proxy", ""},

		{"Python is silent", func(s *scene) {
			s.Python = func(context.Context, string) (Python, error) { return Python{}, errors.New("no answer") }
		}, "requests", Unknown, "no answer", ""},
		{"no requests", func(s *scene) {
			s.Python = func(context.Context, string) (Python, error) { return Python{File: s.system}, nil }
		}, "requests", "not in the table", "", ""},
		{"Debian's requests", func(s *scene) {
			s.Python = func(context.Context, string) (Python, error) { return Python{Certifi: s.system}, nil }
		}, "requests", OK, "reads", ""},
		{"Debian's requests, untrusted", all(untrusted, func(s *scene) {
			s.Python = func(context.Context, string) (Python, error) { return Python{Certifi: s.foreign}, nil }
		}), "requests", Fail, "lacks it", "devproxy trust"},
		{"settings", all(set("CURL_CA_BUNDLE", "ROOT"), func(s *scene) {
			os.WriteFile(filepath.Join(s.Home, ".curlrc"), []byte("# insecure\ncacert = x\n"), 0o600)
		}), "curl", Unknown, ".curlrc", ""},
		{"a comment", all(set("CURL_CA_BUNDLE", "ROOT"), func(s *scene) {
			os.WriteFile(filepath.Join(s.Home, ".curlrc"), []byte("# insecure\nsilent\n"), 0o600)
		}), "curl", OK, "", ""},
	} {
		t.Run(tt.client+" "+tt.name, func(t *testing.T) {
			s := newScene(t)
			tt.change(s)
			got := s.verdict(t, tt.client)
			if got.State != tt.state || !strings.Contains(got.Detail, tt.detail) || !strings.Contains(got.Fix, tt.fix) {
				t.Errorf("got %+v, want %s, …%s…, fix …%s…", got, tt.state, tt.detail, tt.fix)
			}
			if (got.State == Fail || got.State == Warn) && got.Detail == "" {
				t.Errorf("%s without a reason", got.State)
			}
		})
	}
}

// TestClientsOfRoutes: one route that a client does not reach is enough.
func TestClientsOfRoutes(t *testing.T) {
	s := newScene(t)
	lost := s.route
	lost.Host, lost.Addresses = "lost.localhost", nil
	for _, c := range s.Clients(t.Context(), []Route{s.route, lost}) {
		if c.Client == "go" && (c.State != Warn || !strings.Contains(c.Detail, "lost.localhost")) {
			t.Errorf("got %+v, want a warning about lost.localhost", c)
		}
		if c.Client == "chromium" && c.State != OK {
			t.Errorf("got %+v, want ok", c)
		}
	}
	for _, c := range s.Clients(t.Context(), nil) {
		if c.State == OK {
			t.Errorf("%s is ok without any route", c.Client)
		}
	}
}

// TestAskCurl asks a fake and, where there is one, the real one.
func TestAskCurl(t *testing.T) {
	fake := write(t, filepath.Join(t.TempDir(), "curl"), []byte("#!/bin/sh\necho 'curl 8.1.2 (x86_64) libcurl/7.81.0 OpenSSL/3.0.2'\n"), 0o755)
	if got, err := AskCurl(t.Context(), fake); got != 7081 || err != nil {
		t.Errorf("got %d, %v, want 7081", got, err)
	}
	silent := write(t, filepath.Join(t.TempDir(), "curl"), []byte("#!/bin/sh\n"), 0o755)
	if got, err := AskCurl(t.Context(), silent); err == nil {
		t.Errorf("got %d from a curl that says nothing", got)
	}
	real := LookUp([]string{"/usr/bin", "/bin"}, "curl")
	if real == "" {
		skip(t, "curl is not installed")
	}
	if got, err := AskCurl(t.Context(), real); got < 7000 || err != nil {
		t.Errorf("got %d, %v from %s", got, err, real)
	}
}

// TestLinked uses what this machine has.
func TestLinked(t *testing.T) {
	for _, program := range []string{"/usr/bin/wget", "/usr/bin/openssl"} {
		if _, err := os.Stat(program); err != nil {
			t.Logf("%s is not installed", program)
			continue
		}
		if got := linked(program); got == unknownLibrary {
			t.Errorf("linked(%s) finds no TLS library", program)
		}
	}
	if got := linked(write(t, filepath.Join(t.TempDir(), "script"), []byte("#!/bin/sh\n"), 0o755)); got != unknownLibrary {
		t.Errorf("a script is linked with %v", got)
	}
}
