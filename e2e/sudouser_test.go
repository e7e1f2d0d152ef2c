package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTrustWithoutSudo trusts as someone without sudo and without a terminal.
// The commands that are left do the rest, once an administrator has run them.
func TestTrustWithoutSudo(t *testing.T) {
	h := newUser(t)
	h = h.withEnv("PATH=" + h.makeDir(t, "programs")) // where nothing is
	settle(t)
	clean := readMachine(t)

	got := h.devproxy(t, "trust", "--user").must(t, 0) // which needs no one
	mustList(t, got, "trusted", "Chromium")
	mustList(t, got, "trusted", "Firefox")
	clean.mustBe(t, readMachine(t))

	got = h.devproxy(t, "trust").must(t, 3)
	mustList(t, got, "not trusted", "System")
	mustList(t, got, "trusted", "Chromium")
	clean.mustBe(t, readMachine(t))
	h.pasted(t, indented(got.stderr))
	t.Cleanup(func() { settle(t) })
	for _, store := range []string{"System", "Java", "Chromium", "Firefox"} {
		mustList(t, h.devproxy(t, "trust").must(t, 0), "trusted", store)
	}
	h.owned(t)

	got = h.devproxy(t, "untrust").must(t, 3)
	mustList(t, got, "still trusted", "System")
	h.pasted(t, indented(got.stderr))
	h.devproxy(t, "untrust").must(t, 0)
	clean.mustBe(t, readMachine(t))
	h.owned(t)
}

// addUser makes someone whom the system knows, with a home.
func addUser(t *testing.T, name string, uid uint32) *home {
	t.Helper()
	h := userHome(t, uid, uid)
	for file, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, uid, uid, h.dir),
		"/etc/group":  fmt.Sprintf("%s:x:%d:\n", name, uid),
	} {
		before := readIf(t, file)
		if err := os.WriteFile(file, append(before, line...), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.WriteFile(file, before, 0o644) })
	}
	return h
}

// TestTrustAsRoot trusts and untrusts as "sudo devproxy" does. What is made
// belongs to the one who typed it, who then needs no root.
func TestTrustAsRoot(t *testing.T) {
	const name, uid = "fluffy", 54322
	h := addUser(t, name, uid)
	root := newHome(t, "SUDO_USER="+name, fmt.Sprintf("SUDO_UID=%d", uid), fmt.Sprintf("SUDO_GID=%d", uid), "LOGNAME=root", "USER=root")
	root.work = h.work // where they stand; root's own home stays empty
	settle(t)
	clean := readMachine(t, root)

	got := root.timed(t, "trust")
	t.Cleanup(func() { root.devproxy(t, "untrust").must(t, 0) })
	for _, store := range []string{"System", "Java", "Chromium", "Firefox"} {
		mustList(t, got, "trusted", store)
	}
	h.owned(t)
	if !fileExists(h.rootFile()) {
		t.Fatalf("there is no %s", h.rootFile())
	}
	ca := string(readIf(t, h.caFile()))

	// A port that no privilege is needed for, and that doctor can know.
	config := strings.Replace(usual, "\n", "\nlisten = [\"127.0.0.1:8443\", \"[::1]:8443\"]\n", 1)
	s := start(t, h, config+fmt.Sprintf("routes.\"app.localhost\" = %q", startShown(t)))
	s.get(t, s.client(t), "app.localhost", "/")
	if again := h.devproxy(t, "trust").must(t, 0); strings.Contains(again.stderr, "root is needed") {
		t.Errorf("trust by the user has something left to do: %s", again)
	}
	for _, client := range unaidedClients {
		if client.name == "curl" {
			if ok, got := client.accepts(t, h, nil, s.url("app.localhost", "/")); !ok {
				t.Errorf("curl refuses: %s", got)
			}
			h.diagnose(t, nil, "app.localhost").mustAgree(t, "as root", client.name, true)
		}
	}
	for _, b := range []string{"chromium", "firefox"} {
		h.diagnose(t, nil, "app.localhost").mustAgree(t, "as root", b, true)
	}
	if now := string(readIf(t, h.caFile())); now != ca {
		t.Error("there is another CA now")
	}
	s.stop(t)

	got = root.timed(t, "untrust")
	for _, store := range []string{"System", "Chromium", "Firefox"} {
		mustList(t, got, "removed", store)
	}
	clean.mustBe(t, readMachine(t, root)) // nor has root's own home anything
	h.owned(t)
	if fileExists(root.state()) {
		t.Errorf("root has a folder of its own: %s", root.state())
	}
}
