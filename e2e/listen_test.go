package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jsonLog begins a configuration that listens where devproxy does by itself:
// in the sandbox those ports are free.
const jsonLog = `
log.format = "json"
log.level = "debug"
`

// ready waits for the table, and returns it.
func (s *server) ready(t *testing.T) string {
	t.Helper()
	s.await(t, "a whole table", func() bool {
		text := s.stdout.String()
		return strings.Contains(text, "\n  root  ") && strings.HasSuffix(text, "\n\n")
	})
	return s.output()
}

// plain asks for a URL without TLS on an address, as a host, and follows no
// redirect.
func plain(t *testing.T, addr, host, target string) *http.Response {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	resp, err := transport.RoundTrip(must(http.NewRequest(http.MethodGet, "http://"+host+target, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestDefaultPorts serves on 443 and 80, both families, with URLs as short as
// they can be.
func TestDefaultPorts(t *testing.T) {
	h := newHome(t)
	s := start(t, h, jsonLog+`routes."hello.localhost" = "builtin:hello"`)
	if s.port != 443 {
		t.Fatalf("port %d, want 443", s.port)
	}
	if table := s.ready(t); !strings.Contains(table, "  https://hello.localhost  ") || strings.Contains(table, "note") {
		t.Errorf("want https://hello.localhost and no note in the table:\n%s", table)
	}
	s.get(t, s.client(t), "hello.localhost", "/")

	for _, loopback := range []string{"127.0.0.1", "::1"} {
		t.Run(loopback, func(t *testing.T) {
			if answer, err := greet(net.JoinHostPort(loopback, "443"), []byte("hello.localhost")); err != nil || len(answer.chain) == 0 {
				t.Errorf("on 443: %v, %v", answer, err)
			}
			addr := net.JoinHostPort(loopback, "80")
			for _, tt := range []struct {
				host, target string
				location     string // "" is no redirect
			}{
				{"hello.localhost", "/a%2Fb?c=d&e", "https://hello.localhost/a%2Fb?c=d&e"},
				{"HELLO.localhost", "/", "https://hello.localhost/"},
				{"hello.localhost:80", "/", "https://hello.localhost/"},
				{"other.localhost", "/", ""},
				{"bank.example", "/", ""},
				{"localhost", "/", ""},
				{"127.0.0.1", "/", ""},
				{"[::1]", "/", ""},
			} {
				resp := plain(t, addr, tt.host, tt.target)
				want := http.StatusNotFound
				if tt.location != "" {
					want = http.StatusTemporaryRedirect
				}
				if got := resp.Header.Get("Location"); resp.StatusCode != want || got != tt.location {
					t.Errorf("%s%s: %s to %q, want %d to %q", tt.host, tt.target, resp.Status, got, want, tt.location)
				}
				if got := resp.Header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("%s%s: Cache-Control %q, want no-store", tt.host, tt.target, got)
				}
			}
		})
	}
}

const lowPorts = "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80"

// TestPortsDenied starts devproxy as a user who may not listen on 443.
func TestPortsDenied(t *testing.T) {
	h := newUser(t)
	t.Run("by default", func(t *testing.T) {
		s := start(t, h, jsonLog+`routes."hello.localhost" = "builtin:hello"`)
		if s.port != 8443 {
			t.Fatalf("port %d, want 8443", s.port)
		}
		table := s.ready(t)
		if !strings.Contains(table, "  https://hello.localhost:8443  ") {
			t.Errorf("want https://hello.localhost:8443 in the table:\n%s", table)
		}
		if strings.Count(table, "note") != 1 || strings.Count(table, lowPorts) != 1 {
			t.Errorf("want one note, with %q:\n%s", lowPorts, table)
		}
		s.get(t, s.client(t), "hello.localhost", "/")
		if answer, err := greet("[::1]:8443", []byte("hello.localhost")); err != nil || len(answer.chain) == 0 {
			t.Errorf("on [::1]:8443: %v, %v", answer, err)
		}
	})
	for _, setting := range []string{"listen", "redirect"} {
		t.Run(setting, func(t *testing.T) {
			config := head + `routes."hello.localhost" = "builtin:hello"`
			if setting == "listen" {
				config = strings.Replace(config, "127.0.0.1:0", "127.0.0.1:443", 1)
			} else {
				config = strings.Replace(config, "redirect = []", `redirect = ["127.0.0.1:80"]`, 1)
			}
			h.write(t, "devproxy.toml", config)
			h.devproxy(t, "serve").refused(t, 1, "listen on 127.0.0.1:", "permission denied", lowPorts)
		})
	}
	t.Run("80 only", func(t *testing.T) {
		port := "/proc/sys/net/ipv4/ip_unprivileged_port_start"
		before := must(os.ReadFile(port))
		if err := os.WriteFile(port, []byte("443"), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.WriteFile(port, before, 0) })
		s := start(t, h, jsonLog+`routes."hello.localhost" = "builtin:hello"`)
		if table := s.ready(t); s.port != 443 || strings.Count(table, "note") != 1 || !strings.Contains(table, "port 80 is not allowed here") {
			t.Errorf("port %d, want 443 and a note about port 80:\n%s", s.port, table)
		}
	})
}

// hold listens on an address until the test ends.
func hold(t *testing.T, network, addr string) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
}

// TestPortTaken has another program on a port, on either family.
func TestPortTaken(t *testing.T) {
	const route = `routes."hello.localhost" = "builtin:hello"`
	name := strings.TrimSpace(string(must(os.ReadFile("/proc/self/comm"))))
	self := fmt.Sprintf("held by %s (pid %d)", name, os.Getpid())
	for _, tt := range []struct {
		name, network, addr, config string
		want                        []string
	}{
		{"IPv4", "tcp4", "127.0.0.1:443", jsonLog, []string{"127.0.0.1:443: ", "(IPv4)", self, "listen = ["}},
		{"IPv6", "tcp6", "[::1]:443", jsonLog, []string{"[::1]:443: ", "(IPv6)", self, "listen = ["}},
		{"all of IPv4", "tcp4", "0.0.0.0:443", jsonLog, []string{"127.0.0.1:443: ", self}},
		{"all addresses", "tcp", "[::]:443", jsonLog, []string{"127.0.0.1:443: ", self}},
		{"explicit listen", "tcp4", "127.0.0.1:8444", jsonLog + "listen = [\"127.0.0.1:8444\"]\n", []string{"127.0.0.1:8444: ", self, "listen = ["}},
		{"explicit redirect", "tcp4", "127.0.0.1:8080", jsonLog + "redirect = [\"127.0.0.1:8080\"]\n", []string{"127.0.0.1:8080: ", self, "redirect = ["}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hold(t, tt.network, tt.addr)
			h := newHome(t)
			h.write(t, "devproxy.toml", tt.config+route)
			h.devproxy(t, "serve").refused(t, 1, append(tt.want, "address already in use")...)
		})
	}
	t.Run("default redirect", func(t *testing.T) { // nobody asked for it: devproxy goes on
		hold(t, "tcp6", "[::1]:80")
		s := start(t, newHome(t), jsonLog+route)
		if table := s.ready(t); !strings.Contains(table, "note  http is not redirected: ") || !strings.Contains(table, self) {
			t.Errorf("want a note that names the holder:\n%s", table)
		}
		// Nor does it keep the half that it got.
		hold(t, "tcp4", "127.0.0.1:80")
	})
	t.Run("by devproxy", func(t *testing.T) {
		h := newHome(t)
		s := start(t, h, jsonLog+route)
		h.devproxy(t, "serve").refused(t, 1, fmt.Sprintf("held by devproxy (pid %d)", s.cmd.Process.Pid))
		s.get(t, s.client(t), "hello.localhost", "/")
	})
	t.Run("by another user", func(t *testing.T) {
		hold(t, "tcp4", "127.0.0.1:8443")
		h := newUser(t)
		h.write(t, "devproxy.toml", jsonLog+route)
		h.devproxy(t, "serve").refused(t, 1, "127.0.0.1:8443: ", "held by a process of user root")
	})
}

// TestNoIPv6 takes IPv6 away from the sandbox.
func TestNoIPv6(t *testing.T) {
	const setting = "/proc/sys/net/ipv6/conf/lo/disable_ipv6"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Skip("this machine has no IPv6 to take away")
	}
	if err := os.WriteFile(setting, []byte("1"), 0); err != nil {
		missing(t, "cannot turn IPv6 off: "+err.Error())
	}
	t.Cleanup(func() {
		if err := os.WriteFile(setting, before, 0); err != nil {
			t.Error(err)
		}
		// The tests that follow need ::1, which comes back on its own time.
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
				ln.Close()
				return
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	})
	const route = `routes."hello.localhost" = "builtin:hello"`
	s := start(t, newHome(t), jsonLog+route)
	s.ready(t)
	s.get(t, s.client(t), "hello.localhost", "/")
	if resp := plain(t, "127.0.0.1:80", "hello.localhost", "/"); resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("on port 80: %s, want 307", resp.Status)
	}
	s.stop(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	var warnings []logLine
	for _, l := range s.lines {
		if l["level"] == "warn" {
			warnings = append(warnings, l)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].msg(), "IPv6") {
		t.Errorf("want one warning, about IPv6: %v", warnings)
	}

	t.Run("nothing else asked for", func(t *testing.T) {
		h := newHome(t)
		h.write(t, "devproxy.toml", strings.Replace(head, "127.0.0.1:0", "[::1]:0", 1)+route)
		if got := h.devproxy(t, "serve"); got.code != 1 || !strings.Contains(got.stderr, "listen on [::1]:0") {
			t.Errorf("%s\nwant exit code 1 and the address", got)
		}
	})
}

// TestBeyondLoopback listens where other machines can reach devproxy.
func TestBeyondLoopback(t *testing.T) {
	for _, all := range []string{"0.0.0.0:0", "[::]:0"} {
		s := start(t, newHome(t), strings.Replace(head, "127.0.0.1:0", all, 1)+`routes."hello.localhost" = "builtin:hello"`)
		line := s.waitLog(t, "listening beyond this machine: anyone who reaches this address reaches the backends", nil)
		if want := strings.TrimSuffix(all, "0") + fmt.Sprint(s.port); line["level"] != "warn" || line["address"] != want {
			t.Errorf("got %v, want a warning about %s", line, want)
		}
		if table := s.ready(t); !strings.Contains(table, fmt.Sprintf("https://hello.localhost:%d ", s.port)) || !strings.Contains(table, " up") {
			t.Errorf("want a URL that answers in the table:\n%s", table)
		}
	}
}

// fetch asks over TLS with an Accept header.
func fetch(t *testing.T, s *server, client *http.Client, host, accept string) (*http.Response, string) {
	t.Helper()
	req := must(http.NewRequest(http.MethodGet, s.url(host, "/"), nil))
	req.Header.Set("Accept", accept)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

const (
	browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	curlAccept    = "*/*"
)

// wantPage fails unless a host answers with devproxy's own page: HTML for
// browsers, a line for others, with the words in both.
func wantPage(t *testing.T, s *server, client *http.Client, host string, status int, words ...string) {
	t.Helper()
	for accept, kind := range map[string]string{browserAccept: "text/html", curlAccept: "text/plain"} {
		resp, body := fetch(t, s, client, host, accept)
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != status || !strings.HasPrefix(got, kind) {
			t.Errorf("%s for %q: %s, %s; want %d, %s", host, accept, resp.Status, got, status, kind)
		}
		if html := strings.Contains(body, "<html"); html != (kind == "text/html") {
			t.Errorf("%s for %q: %s", host, accept, body)
		}
		if kind == "text/plain" && (strings.Count(body, "\n") != 1 || !strings.HasPrefix(body, "devproxy: ")) {
			t.Errorf("%s for %q: %q, want one line of devproxy", host, accept, body)
		}
		for _, word := range words {
			if !strings.Contains(body, word) {
				t.Errorf("%s for %q: want %q in\n%s", host, accept, word, body)
			}
		}
	}
}

// TestBackendDown starts devproxy before its backend.
func TestBackendDown(t *testing.T) {
	// A port that is free, as far as anyone can know.
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	addr := ln.Addr().String()
	ln.Close()

	h := newHome(t)
	s := start(t, h, jsonLog+fmt.Sprintf("[routes]\n\"hello.localhost\" = \"builtin:hello\"\n[routes.\"app.localhost\"]\nto = \"http://%s\"\nhold = \"0s\"\n", addr))
	client := s.client(t)
	row := func(text, host string) string {
		for line := range strings.Lines(text) {
			if strings.Contains(line, host) {
				return strings.TrimSpace(line)
			}
		}
		return ""
	}
	table := s.ready(t)
	if got := row(table, "https://app.localhost "); !strings.HasSuffix(got, " down") {
		t.Errorf("row %q, want the backend down:\n%s", got, table)
	}
	if got := row(table, "https://hello.localhost "); !strings.HasSuffix(got, " up") {
		t.Errorf("row %q, want the backend up:\n%s", got, table)
	}
	type route struct {
		Host, URL   string
		Serving, Up bool
	}
	routes := func() map[string]route {
		t.Helper()
		var report struct {
			Schema int
			Routes []route
		}
		if err := json.Unmarshal([]byte(h.devproxy(t, "routes", "--json").must(t, 0).stdout), &report); err != nil || report.Schema != 1 {
			t.Fatalf("schema %d, %v", report.Schema, err)
		}
		byHost := make(map[string]route)
		for _, r := range report.Routes {
			byHost[r.Host] = r
		}
		return byHost
	}
	if got, want := routes()["app.localhost"], (route{"app.localhost", "https://app.localhost", true, false}); got != want {
		t.Errorf("routes --json: %+v, want %+v", got, want)
	}
	wantPage(t, s, client, "app.localhost", http.StatusServiceUnavailable, "app.localhost", "http://"+addr, "refused", "Is the app running")

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, secret) })}
	go backend.Serve(ln)
	t.Cleanup(func() { backend.Close() })
	if got := s.get(t, client, "app.localhost", "/"); got != secret {
		t.Errorf("got %q, want %q", got, secret)
	}
	if got, want := routes()["app.localhost"], (route{"app.localhost", "https://app.localhost", true, true}); got != want {
		t.Errorf("routes --json: %+v, want %+v", got, want)
	}
	if got := row(h.devproxy(t, "routes").must(t, 0).stdout, "app.localhost"); !strings.HasSuffix(got, " up") {
		t.Errorf("routes: %q, want the backend up", got)
	}

	s.stop(t)
	if got, want := routes()["app.localhost"], (route{"app.localhost", "", false, true}); got != want {
		t.Errorf("routes --json without a server: %+v, want %+v", got, want)
	}
}

// TestUnknownName asks for names beside the routed ones and for others.
func TestUnknownName(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+"[routes]\n\"shop.localhost\" = \"builtin:hello\"\n\"shop.localhost/api\" = 1\n\"mail.localhost\" = \"builtin:hello\"\n")
	client := s.client(t)
	wantPage(t, s, client, "shp.localhost", http.StatusNotFound, "shp.localhost", s.url("shop.localhost", ""))
	_, body := fetch(t, s, client, "shp.localhost", browserAccept)
	for _, host := range []string{"shop.localhost", "mail.localhost"} {
		if link := fmt.Sprintf(`href="%s`, s.url(host, "")); !strings.Contains(body, link) {
			t.Errorf("want the route %s listed:\n%s", link, body)
		}
	}
	// Too far from any name to guess.
	wantPage(t, s, client, "quite-another.localhost", http.StatusNotFound, "quite-another.localhost")
	for _, host := range []string{"shop.test", "a.shop.test", "localhost", "bank.example"} {
		if answer, err := greet(s.addr(), []byte(host)); err != nil || answer.alert != alertUnrecognizedName {
			t.Errorf("%s: %v, %v; want alert %d and no certificate", host, answer, err, alertUnrecognizedName)
		}
	}
}

// TestNoFile starts without any file or argument: the built-in page.
func TestNoFile(t *testing.T) {
	h := newHome(t)
	s := launch(t, h)
	table := s.ready(t)
	if !strings.Contains(table, "  https://hello.localhost  ") {
		t.Errorf("want https://hello.localhost in the table:\n%s", table)
	}
	s.port = 443
	s.get(t, s.client(t), "hello.localhost", "/")
	if names, _ := filepath.Glob(filepath.Join(h.work, "*")); len(names) > 0 {
		t.Errorf("files were made in the working directory: %q", names)
	}
}
