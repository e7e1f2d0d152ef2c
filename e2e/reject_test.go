package e2e

import (
	"net"
	"strings"
	"testing"
)

// TestRejections has programs that do not trust the root meet devproxy: each
// leaves a line that names the host and what to do. One that trusts it leaves
// none.
func TestRejections(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`routes."*.app.localhost" = "builtin:hello"`)
	stranger := newHome(t)
	stranger.devproxy(t, "ca", "rotate").must(t, 0)

	java := client{"java", func(t *testing.T, h *home, url, _ string) result {
		program := h.write(t, "Fetch.java", `public class Fetch { public static void main(String[] args) throws Exception {
			new java.net.URI(args[0]).toURL().openStream(); } }`)
		return h.run(t, tool(t, "java"), program, url)
	}}
	gnutls := client{"gnutls-cli", func(t *testing.T, h *home, url, _ string) result {
		host, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/"))
		return h.run(t, tool(t, "gnutls-cli"), "-p", port, host)
	}}
	curl12 := client{"curl12", func(t *testing.T, h *home, url, root string) result {
		return h.run(t, tool(t, "curl"), "--silent", "--tls-max", "1.2", "--cacert", root, url)
	}}
	const distrust = "probably does not trust the root"
	reasons := map[string]string{"curl12": "unknown CA", "go": "bad certificate", "java": "certificate unknown", "node": "it left"}
	all := append([]client{{"go", goClient}, java, gnutls, curl12}, clients...)
	var hosts []string
	for _, c := range all {
		hosts = append(hosts, c.name+".app.localhost")
	}
	addHosts(t, "127.0.0.1", append(hosts, "good.app.localhost")...)
	goClient(t, h, s.url("good.app.localhost", "/"), h.rootFile()).must(t, 0)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			host := c.name + ".app.localhost"
			for range 2 {
				if got := c.fetch(t, stranger, s.url(host, "/"), stranger.rootFile()); got.code == 0 {
					t.Fatalf("it trusts: %s", got)
				}
			}
			line := s.waitLog(t, "a client rejected our certificate", func(l logLine) bool { return l["host"] == host })
			reason, _ := line["reason"].(string)
			hint, _ := line["hint"].(string)
			if !strings.Contains(reason, distrust) || !strings.Contains(reason, reasons[c.name]) ||
				!strings.Contains(hint, " trust;") || !strings.Contains(hint, " doctor "+host) || line["level"] != "warn" {
				t.Errorf("got %v", line)
			}
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	said := make(map[any]int)
	for _, line := range s.lines {
		if line.msg() == "a client rejected our certificate" {
			said[line["host"]]++
		}
	}
	for host, n := range said {
		if n != 1 || host == "good.app.localhost" {
			t.Errorf("%v: %d lines", host, n)
		}
	}
}
