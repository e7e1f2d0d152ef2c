package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"devproxy/internal/atomicfile"
	"devproxy/internal/issuer"
)

// patience bounds waits for what must happen; nothing is measured by it.
const patience = 30 * time.Second

// lines hands out what is written to it, line by line.
type lines struct {
	w    *io.PipeWriter
	text chan string
}

func newLines() *lines {
	r, w := io.Pipe()
	l := &lines{w, make(chan string, 1000)}
	go func() {
		defer close(l.text)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.text <- s.Text()
		}
	}()
	return l
}

func (l *lines) Write(p []byte) (int, error) { return l.w.Write(p) }

// wait returns the submatches of the first line from here on that matches.
func (l *lines) wait(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var seen []string
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-l.text:
			if !ok {
				t.Fatalf("output ended without %q:\n%s", pattern, strings.Join(seen, "\n"))
			}
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
			seen = append(seen, line)
		case <-deadline:
			t.Fatalf("no line %q after %v:\n%s", pattern, patience, strings.Join(seen, "\n"))
		}
	}
}

// TestServe walks the main job: a table with a URL that works, a save that
// applies, a broken one that does not, a new CA, and the end.
func TestServe(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s over %s", r.Host, r.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(backend.Close)

	home := t.TempDir()
	file := filepath.Join(home, "devproxy.toml")
	save := func(routes ...string) {
		t.Helper()
		text := "listen = [\"127.0.0.1:0\"]\nredirect = []\nlog.format = \"json\"\n[routes]\n"
		for _, r := range routes {
			text += fmt.Sprintf("%q = %q\n", r, backend.URL)
		}
		if err := atomicfile.Replace(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save("one.localhost")

	env := map[string]string{"HOME": home, "DEVPROXY_HOME": filepath.Join(home, "state")}
	stdout, stderr := newLines(), newLines()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exit := make(chan int)
	go func() {
		args := []string{"devproxy", "serve", "--config", file, "warned.localhost=http://203.0.113.9:80"}
		exit <- run(ctx, args, func(name string) string { return env[name] }, strings.NewReader(""), stdout, stderr)
		stdout.w.Close()
		stderr.w.Close()
	}()

	stderr.wait(t, `"warn".*warned\.localhost`) // at the start, not with the first reload
	port := stdout.wait(t, `^  https://one\.localhost:(\d+) +http://127\.0\.0\.1:\d+ +up$`)[1]
	stdout.wait(t, `^  root  .*trust`)
	get := func(host string) (string, error) {
		pem, err := os.ReadFile(issuer.RootPath(env["DEVPROXY_HOME"]))
		if err != nil {
			return "", err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport := &http.Transport{ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		transport.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: host, NextProtos: []string{"h2"}}}
			return d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
		}
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + host + ":" + port + "/")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	check := func(host string) {
		t.Helper()
		want := "hello " + host + ":" + port + " over https"
		if got, err := get(host); got != want {
			t.Errorf("%s: got %q, %v; want %q", host, got, err, want)
		}
	}
	check("one.localhost")
	if got, err := get("one.test"); err == nil {
		t.Errorf("a name that no route has answers %q", got)
	}

	save("one.localhost", "two.test")
	stderr.wait(t, `"routes reloaded".*"routes":3`)
	check("one.localhost")
	check("two.test")

	save("one.localhost", "bank.example")
	stderr.wait(t, `"the file was not applied, the running routes stay".*"line":6`)
	check("two.test")

	if _, err := issuer.Rotate(env["DEVPROXY_HOME"], []string{"bank.example"}); err != nil {
		t.Fatal(err)
	}
	stderr.wait(t, `"CA loaded, leaves are minted anew"`)
	stderr.wait(t, `"routes reloaded"`)
	check("bank.example")

	stop()
	stderr.wait(t, `"shutting down"`)
	select {
	case code := <-exit:
		if code != exitDone {
			t.Errorf("exit code %d, want %d", code, exitDone)
		}
	case <-time.After(patience):
		t.Errorf("still running %v after the interrupt", patience)
	}
}
