package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// saves are the ways in which editors and tools change a file.
var saves = []struct {
	name string
	save func(path, content string) error
}{
	{"write in place", writeInPlace},
	{"rename over", func(path, content string) error {
		temp := path + ".new"
		return errors.Join(writeInPlace(temp, content), os.Rename(temp, path))
	}},
	{"put a symlink there", putLink},
	{"write through the symlink", writeInPlace},
	{"swap the symlink", putLink},
	{"delete and create", func(path, content string) error {
		return errors.Join(os.Remove(path), writeInPlace(path, content))
	}},
	{"break, then fix", nil}, // see TestReloadUnderLoad
}

// putLink makes path a symlink to a file in a new folder.
func putLink(path, content string) error {
	version, err := os.MkdirTemp(filepath.Dir(path), "version-")
	if err != nil {
		return err
	}
	target, temp := filepath.Join(version, "file"), path+".link"
	return errors.Join(writeInPlace(target, content), os.Symlink(target, temp), os.Rename(temp, path))
}

func writeInPlace(path, content string) error { return os.WriteFile(path, []byte(content), 0o644) }

// routed returns a configuration that routes every host to backend.
func routed(backend string, hosts ...string) string {
	var b strings.Builder
	b.WriteString(head + "[routes]\n")
	for _, host := range hosts {
		fmt.Fprintf(&b, "%q = %q\n", host, backend)
	}
	return b.String()
}

// A probe asks for one host again and again, over one connection, so that
// little but the reload is measured. It speaks HTTP/1.1 by itself: http.Client
// gives up connections for reasons of its own.
type probe struct {
	host string
	conn *tls.Conn
	in   *bufio.Reader
}

// newProbe opens the connection, which a host beside a routed one gets even
// before it has a route.
func newProbe(t *testing.T, s *server, pool *x509.CertPool, host string) *probe {
	t.Helper()
	conn, err := tls.Dial("tcp", s.addr(), &tls.Config{RootCAs: pool, ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &probe{host, conn, bufio.NewReader(conn)}
}

func (p *probe) status(t *testing.T) int {
	t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(p.conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", p.host)
	resp, err := http.ReadResponse(p.in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil || resp.Close {
		t.Fatalf("on an open connection to %s: %v", p.host, err)
	}
	return resp.StatusCode
}

// wait asks until the answer has the status, and returns the time it took.
func (p *probe) wait(t *testing.T, status int) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		if p.status(t) == status {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			t.Fatalf("%s does not answer %d after %v", p.host, status, patience)
		}
		time.Sleep(2 * time.Millisecond) // leave the cores to the reload
	}
}

// TestReloadUnderLoad edits the file in every way while requests and
// WebSockets use a route that no edit touches.
func TestReloadUnderLoad(t *testing.T) {
	const limit = 500 * time.Millisecond
	backend := echo(t)
	h := newHome(t)
	s := start(t, h, routed(backend, "app.localhost"))
	file := filepath.Join(h.work, "devproxy.toml")
	pool := h.pool(t)

	ctx, end := context.WithCancel(t.Context())
	l := &load{}
	wg := l.run(ctx, t, s, "app.localhost")
	defer wg.Wait()
	defer end()

	edits := rounds(100, 1000)
	took := make(map[string][]time.Duration)
	var last *probe
	for n := range edits {
		way := saves[n%len(saves)]
		host := fmt.Sprintf("new%d.localhost", n)
		p := newProbe(t, s, pool, host)
		if got := p.status(t); got != http.StatusNotFound {
			t.Fatalf("%s answers %d before it is routed, want 404", host, got)
		}
		save := way.save
		if save == nil {
			mark := s.mark()
			broken := routed(backend, "app.localhost") + "this is no TOML\n"
			line := strings.Count(broken, "\n")
			if err := writeInPlace(file, broken); err != nil {
				t.Fatal(err)
			}
			s.waitLogAfter(t, mark, notApplied, func(l logLine) bool { return l["line"] == float64(line) })
			save = writeInPlace
		}
		if err := save(file, routed(backend, "app.localhost", host)); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		d := p.wait(t, http.StatusOK)
		took[way.name] = append(took[way.name], d)
		if last != nil {
			last.wait(t, http.StatusNotFound)
			last.conn.Close()
		}
		last = p
	}
	end()
	wg.Wait()

	for _, f := range l.failures[:min(len(l.failures), 10)] {
		t.Error(f)
	}
	t.Logf("%d edits; %d requests and %d messages on %d WebSockets, %d failed", edits,
		l.requests.Load(), l.messages.Load(), loadSockets, len(l.failures))
	if done := l.requests.Load(); done < int64(edits) {
		t.Errorf("only %d requests during %d edits prove little", done, edits)
	}
	// Single edits may take longer on a machine that does other things; the
	// median does not. Each way has its own, for each is noticed in its own way.
	for _, way := range saves {
		got := median(took[way.name])
		t.Logf("%-26s median %v, longest %v", way.name, got, slices.Max(took[way.name]))
		if got > limit {
			t.Errorf("%s: a new route answers %v (median) after the save, want within %v", way.name, got, limit)
		}
	}
}

// median returns the middle of times.
func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// What the log says about a file. Tests of reloads wait for these lines.
const (
	notApplied   = "the file was not applied, the running routes stay"
	reloaded     = "routes reloaded"
	nextStart    = "this setting changes at the next start of devproxy"
	emptyIgnored = "the file is empty, taken for a save in progress"
	fileGone     = "the file is gone, its routes stay"
)

// TestReloadRefused saves what cannot be served. The routes stay, and the log
// names each mistake.
func TestReloadRefused(t *testing.T) {
	backend := echo(t)
	h := newHome(t)
	good := routed(backend, "app.localhost")
	s := start(t, h, good)
	client := s.client(t)
	file := filepath.Join(h.work, "devproxy.toml")
	next := strings.Count(good, "\n") + 1

	for _, tt := range []struct {
		name, added string
		line        int
		problem     string
	}{
		{"syntax", "\"x.localhost\" = \n", next, "devproxy.toml:%d: "},
		{"scheme", "\"x.localhost\" = \"ftp://127.0.0.1\"\n", next, `devproxy.toml:%d: route "x.localhost": `},
		{"second mistake", "\"x.localhost\" = 1\n\"y.localhost\" = 70000\n", next + 1, `devproxy.toml:%d: route "y.localhost": `},
		{"outside the constraints", "\"bank.example\" = 5000\n", next, `devproxy.toml:%d: route "bank.example": `},
		{"10 MB", "# " + strings.Repeat("x", 10<<20) + "\n", 0, "devproxy.toml: "},
		{"binary", "\x00\x01\xff\xfe\x7fELF\n", next, "devproxy.toml:%d: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mark := s.mark()
			if err := writeInPlace(file, good+tt.added); err != nil {
				t.Fatal(err)
			}
			problem := tt.problem
			if tt.line > 0 {
				problem = fmt.Sprintf(problem, tt.line)
			}
			line := s.waitLogAfter(t, mark, notApplied, nil)
			if got := fmt.Sprint(line["problem"]); !strings.HasPrefix(got, problem) {
				t.Errorf("problem %q, want one that begins with %q", got, problem)
			}
			if got := line["line"]; got != float64(tt.line) {
				t.Errorf("line %v, want %d", got, tt.line)
			}
			s.get(t, client, "app.localhost", "/")
		})
	}

	t.Run("empty", func(t *testing.T) {
		mark := s.mark()
		if err := os.Truncate(file, 0); err != nil {
			t.Fatal(err)
		}
		s.waitLogAfter(t, mark, emptyIgnored, nil)
		s.get(t, client, "app.localhost", "/")
	})
	t.Run("a pipe", func(t *testing.T) {
		mark := s.mark()
		if err := errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o644)); err != nil {
			t.Fatal(err)
		}
		s.waitLogAfter(t, mark, notApplied, nil)
		s.get(t, client, "app.localhost", "/")
	})
	t.Run("gone", func(t *testing.T) {
		mark := s.mark()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		s.waitLogAfter(t, mark, fileGone, nil)
		s.get(t, client, "app.localhost", "/")
	})
	t.Run("back", func(t *testing.T) {
		mark := s.mark()
		if err := writeInPlace(file, routed(backend, "app.localhost", "more.localhost")); err != nil {
			t.Fatal(err)
		}
		s.waitLogAfter(t, mark, reloaded, nil)
		s.get(t, client, "more.localhost", "/")
	})
}

// TestReloadCreated starts without a file and with arguments, which a file
// made later does not take away.
func TestReloadCreated(t *testing.T) {
	backend := echo(t)
	h := newHome(t)
	s := launch(t, h, "arg.localhost="+backend)
	s.waitOutput(t, "https://arg.localhost ")
	s.port = 443 // without a file there is no other; the log is not JSON
	client := s.client(t)
	s.get(t, client, "arg.localhost", "/")

	file := h.write(t, "devproxy.toml", routed(backend, "app.localhost"))
	p := newProbe(t, s, h.pool(t), "app.localhost")
	t.Logf("a file made after the start applies within %v", p.wait(t, http.StatusOK))
	s.get(t, client, "arg.localhost", "/")
	s.await(t, "lines about what applies later", func() bool {
		text := s.stderr.String()
		for _, setting := range []string{"listen", "redirect", "log.format"} {
			if !strings.Contains(text, nextStart+`  {"setting": "`+setting+`"}`) {
				return false
			}
		}
		return true
	})

	// The file names the argument's host too: the argument wins.
	if err := writeInPlace(file, routed("http://127.0.0.1:1", "arg.localhost")+fmt.Sprintf("%q = %q\n", "last.localhost", backend)); err != nil {
		t.Fatal(err)
	}
	newProbe(t, s, h.pool(t), "last.localhost").wait(t, http.StatusOK)
	s.get(t, client, "arg.localhost", "/")
}

// TestReloadDuringStart saves the file after devproxy has read it and before
// it watches it.
func TestReloadDuringStart(t *testing.T) {
	backend := echo(t)
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	file := h.write(t, "devproxy.toml", "[routes]\n\"app.localhost\" = \""+backend+"\"\n")

	// A full pipe holds devproxy up where it says that it serves.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err == nil {
		_, err = w.Write([]byte("."))
	}
	cmd := h.command(t, os.Getenv(envBinary), "serve")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	w.Close()
	waitDial(t, "127.0.0.1:443")
	if err := writeInPlace(file, "[routes]\n\"new.localhost\" = \""+backend+"\"\n"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer r.Close()
	wg.Go(func() { io.Copy(io.Discard, r) })
	newProbe(t, &server{home: h, port: 443}, h.pool(t), "new.localhost").wait(t, http.StatusOK)
}

// TestReloadSettings changes settings. Those that cannot change while devproxy
// runs are named, once each; the others apply at once.
func TestReloadSettings(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`routes."hello.localhost" = "builtin:hello"`)
	client := s.client(t)
	mark := s.mark()
	h.write(t, "devproxy.toml", `
listen = ["127.0.0.1:8555"]
redirect = ["127.0.0.1:8556"]
log.format = "console"
log.level = "info"
log.access = false
routes."hello.localhost" = "builtin:hello"`)
	for _, setting := range []string{"listen", "redirect", "log.format"} {
		s.waitLogAfter(t, mark, nextStart, func(l logLine) bool { return l["setting"] == setting })
	}
	s.waitLogAfter(t, mark, reloaded, nil)

	mark = s.mark()
	s.get(t, client, "hello.localhost", "/")
	h.write(t, "devproxy.toml", head+`routes."hello.localhost" = "builtin:hello"`)
	s.waitLogAfter(t, mark, reloaded, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines[mark:] {
		if l.msg() == "request" {
			t.Errorf("a request was logged while log.access was false: %v", l)
		}
	}
}
