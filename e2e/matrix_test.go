package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// startShown starts a backend for unaided clients: git finds a repository with one
// branch, everyone else what clients look for.
func startShown(t *testing.T) string {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/info/refs"):
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, repository)
		case strings.HasSuffix(r.URL.Path, "/HEAD"):
			io.WriteString(w, "ref: refs/heads/fluffy\n")
		default:
			io.WriteString(w, secret)
		}
	}))
	t.Cleanup(backend.Close)
	return backend.URL
}

// A diagnosis is what "devproxy doctor --json" says.
type diagnosis struct {
	OK     bool
	Checks []struct{ Check, Subject, State, Detail, Fix string }
	// Clients are doctor's word for each client: "ok" or something else.
	Clients []struct{ Client, State, Detail, Fix string }
}

// diagnose runs doctor for a host. prefix is what clients are run behind, too.
func (h *home) diagnose(t *testing.T, prefix []string, host string) diagnosis {
	t.Helper()
	words := append(slices.Clone(prefix), os.Getenv(envBinary), "doctor", host, "--json")
	got := finish(t, h.command(t, words[0], words[1:]...))
	var d diagnosis
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
		t.Fatalf("doctor --json: %v\n%s", err, got)
	}
	if want := map[bool]int{true: 0, false: 1}[d.OK]; got.code != want {
		t.Errorf("doctor says ok is %v and ends with %d, want %d", d.OK, got.code, want)
	}
	return d
}

// word returns doctor's word for a client.
func (d diagnosis) word(t *testing.T, client string) (state, detail string) {
	t.Helper()
	for _, c := range d.Clients {
		if c.Client == client {
			return c.State, c.Detail
		}
	}
	t.Errorf("doctor does not speak of %s", client)
	return "", ""
}

// mustAgree fails the test where doctor's word about a client is not what the
// client itself has shown. It may not know.
func (d diagnosis) mustAgree(t *testing.T, phase, client string, accepted bool) {
	t.Helper()
	state, detail := d.word(t, client)
	switch {
	case state == "unknown" && accepted:
		t.Logf("%s: %s works, doctor cannot tell: %s", phase, client, detail)
	case (state == "ok") != accepted:
		t.Errorf("%s: %s: accepted %v, but doctor says %q (%s)", phase, client, accepted, state, detail)
	}
}

// usual begins the configuration of a devproxy at the usual ports, which are
// free in the sandbox: doctor looks for it there.
const usual = `
redirect = []
log.format = "json"
log.level = "debug"
`

// withGo returns the home with the go command on PATH: without it doctor does
// not speak of Go.
func withGo(t *testing.T, h *home) *home {
	t.Helper()
	dir := h.makeDir(t, "programs")
	if err := os.Symlink(os.Getenv(envGo), filepath.Join(dir, "go")); err != nil {
		t.Fatal(err)
	}
	return h.withEnv("PATH=/usr/local/bin:/usr/bin:/bin:" + dir)
}

// TestUnaidedClients takes every client that is no browser through all that
// devproxy does to the machine, and compares it with doctor's word each time:
// doctor is never green where a client is red, nor the other way round.
func TestUnaidedClients(t *testing.T) {
	for _, with := range []bool{true, false} {
		t.Run(certutilName(with), func(t *testing.T) {
			withCertutil(t, with)
			h := withGo(t, newHome(t))
			s := start(t, h, usual+fmt.Sprintf("routes.\"app.localhost\" = %q", startShown(t)))
			settle(t)
			clean := readMachine(t)
			exec := []string{os.Getenv(envBinary), "exec", "--"}
			execJava := []string{os.Getenv(envBinary), "exec", "--java", "--"}

			phase := func(name string, prefix []string, want func(unaided) bool) {
				t.Helper()
				d := h.diagnose(t, prefix, "app.localhost")
				for _, c := range unaidedClients {
					accepted, got := c.accepts(t, h, prefix, s.url("app.localhost", "/"))
					if accepted != want(c) {
						t.Errorf("%s: %s: accepted %v, want %v\n%s", name, c.name, accepted, want(c), got)
					}
					d.mustAgree(t, name, c.name, accepted)
				}
			}
			none := func(unaided) bool { return false }

			phase("at first", nil, none)
			h.devproxy(t, "hosts", "sync").must(t, 0)
			t.Cleanup(func() { h.devproxy(t, "hosts", "clean").must(t, 0) })
			phase("names", nil, none)
			phase("names, exec", exec, func(c unaided) bool { return c.variable })
			phase("names, exec --java", execJava, func(c unaided) bool { return c.variable || c.name == "java" })

			h.devproxy(t, "hosts", "clean").must(t, 0)
			h.devproxy(t, "trust", "--java").must(t, 0)
			t.Cleanup(func() { h.devproxy(t, "untrust").must(t, 0) })
			phase("trust", nil, func(c unaided) bool { return c.finds && c.readsSystem(t) })
			h.devproxy(t, "hosts", "sync").must(t, 0)
			phase("trust, names", nil, func(c unaided) bool { return c.readsSystem(t) })
			phase("trust, names, exec", exec, func(unaided) bool { return true })

			h.devproxy(t, "untrust").must(t, 0)
			phase("untrust", nil, none)
			h.devproxy(t, "hosts", "clean").must(t, 0)
			clean.mustBe(t, readMachine(t))
		})
	}
}
