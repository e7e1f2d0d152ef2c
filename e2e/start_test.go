package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// firstAnswer starts devproxy and asks until it answers 200. It returns how
// long that took from the moment before the start.
func firstAnswer(t *testing.T, h *home, pool *x509.CertPool) time.Duration {
	t.Helper()
	const addr, host = "127.0.0.1:443", "hello.localhost"
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: host},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: true,
	}, Timeout: patience}
	began := time.Now()
	cmd := h.startProgram(t, "serve")
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for {
		req := must(http.NewRequest(http.MethodGet, "https://"+addr+"/", nil))
		req.Host = host
		resp, err := client.Do(req)
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if took := time.Since(began); resp.StatusCode == http.StatusOK {
				return took
			}
			t.Fatalf("status %s, want 200", resp.Status)
		}
		if time.Since(began) > patience {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Microsecond) // leave the cores to the start
	}
}

// TestStartTime measures from the start of the program, with a CA, to its
// first answer.
func TestStartTime(t *testing.T) {
	const limit = 100 * time.Millisecond
	h := newHome(t)
	h.write(t, "devproxy.toml", `routes."hello.localhost" = "builtin:hello"`)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	pool := h.pool(t)
	took := make([]time.Duration, rounds(15, 100))
	for n := range took {
		took[n] = firstAnswer(t, h, pool)
	}
	t.Logf("from the start to the first 200: shortest %v, median %v, longest %v", slices.Min(took), median(took), slices.Max(took))
	// Other programs on this machine make it longer, nothing makes it shorter.
	if got := slices.Min(took); got > limit {
		t.Errorf("first answer after %v, want within %v", got, limit)
	}
}

// newConnection asks for a host over a connection of its own, and returns how
// long that took.
func newConnection(t *testing.T, s *server, config *tls.Config, host string) time.Duration {
	t.Helper()
	config = config.Clone()
	config.ServerName = host
	began := time.Now()
	conn, err := tls.Dial("tcp", s.addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\nAccept: text/plain\r\n\r\n", host)
	answer, err := io.ReadAll(conn)
	took := time.Since(began)
	const ok = "HTTP/1.0 200 OK\r\n"
	if err != nil || len(answer) < len(ok) || string(answer[:len(ok)]) != ok {
		t.Fatalf("%s: %q, %v", host, answer, err)
	}
	return took
}

// TestNewName measures what a name costs that was never seen before, whose
// leaf is minted in the handshake.
func TestNewName(t *testing.T) {
	const limit = time.Millisecond
	h := newHome(t)
	s := start(t, h, head+`routes."*.many.localhost" = "builtin:hello"`)
	config := &tls.Config{RootCAs: h.pool(t)} // without a cache of sessions: every handshake is a full one
	newConnection(t, s, config, "first.many.localhost")
	var fresh, warm, more []time.Duration
	for n := range rounds(300, 3000) {
		host := fmt.Sprintf("n%d.many.localhost", n)
		// Side by side, so that both meet the same machine.
		cold := newConnection(t, s, config, host)
		again := newConnection(t, s, config, host)
		fresh, warm, more = append(fresh, cold), append(warm, again), append(more, cold-again)
	}
	t.Logf("a handshake and a request: %v for a new name, %v for a known one (medians); the difference is %v in the median",
		median(fresh), median(warm), median(more))
	if got := median(more); got > limit {
		t.Errorf("a new name costs %v more than a known one, want less than %v", got, limit)
	}
}
