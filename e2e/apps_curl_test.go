package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestCurl has curl speak in all the ways it can to an app in Node.
func TestCurl(t *testing.T) {
	s := startNode(t)
	for _, p := range curlProtocols {
		t.Run(p.name, func(t *testing.T) {
			c := curler{s: s, host: "node.localhost", proto: p.flag}
			t.Run("slow upload", func(t *testing.T) { curlSlowUpload(t, c) })
			t.Run("slow download", func(t *testing.T) { curlSlowDownload(t, c) })
			t.Run("methods", func(t *testing.T) { curlMethods(t, c) })
			t.Run("heads", func(t *testing.T) { curlHeads(t, c) })
			t.Run("reuse", func(t *testing.T) { curlReuse(t, c) })
		})
	}
	t.Run("refused upload", func(t *testing.T) { curlRefused(t, curler{s: s, host: "node.localhost", proto: "--http1.1"}) })
	t.Run("HTTP/1.0", func(t *testing.T) {
		c := curler{s: s, host: "node.localhost", proto: "--http1.0"}
		got := c.do(t, "/echo").must(t, 200)
		mustHold(t, got.json(t), map[string]any{"method": "GET", "url": "/echo"})
		if got.proto != "HTTP/1.0" || got.header.Get("Connection") == "keep-alive" {
			t.Errorf("got %s; want HTTP/1.0 and the end", got)
		}
		if got := c.do(t, "/trailers").must(t, 200); got.body != "first last" || got.header.Get("Transfer-Encoding") != "" {
			t.Errorf("a response in pieces: %s", got)
		}
	})
	t.Run("CONNECT", func(t *testing.T) {
		got := s.home.run(t, tool(t, "curl"), "--verbose", "--silent", "--proxytunnel", "--proxy", s.url("node.localhost", ""),
			"--proxy-cacert", s.home.rootFile(), "https://bank.example/")
		if got.code != 56 || !strings.Contains(got.stderr, "HTTP/1.1 501") {
			t.Errorf("want a refusal: %s", got)
		}
	})
}

// curlSlowUpload sends a file slowly. Another request need not wait for it.
func curlSlowUpload(t *testing.T, c curler) {
	const size = 2 << 20
	path, hash := upload(t, size)
	cmd := c.command(t, "/echo", "--upload-file", path, "--limit-rate", "2M")
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(out)
		answered <- string(text)
	}()
	c.do(t, "/echo").must(t, 200)
	select {
	case <-answered:
		t.Error("the upload was not slow")
	default:
	}
	mustHold(t, (reply{body: <-answered}).json(t), map[string]any{"bytes": float64(size), "sha256": hash, "method": "PUT"})
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// curlSlowDownload takes a file with a pause after its first bytes, in which
// another request is answered.
func curlSlowDownload(t *testing.T, c curler) {
	cmd := c.command(t, "/big")
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	if _, err := in.Peek(1); err != nil {
		t.Fatal(err)
	}
	c.do(t, "/echo").must(t, 200) // while curl can write no further
	hash := sha256.New()
	n, err := io.Copy(hash, in)
	if want := sha256.Sum256([]byte(strings.Repeat("0123456789", 8<<20/10+1)[:8<<20])); err != nil || n != 8<<20 || string(hash.Sum(nil)) != string(want[:]) {
		t.Errorf("got %d bytes, %v", n, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func curlMethods(t *testing.T, c curler) {
	if got := c.do(t, "/", "--request", "OPTIONS", "--request-target", "*").must(t, 200); got.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS *: %s", got)
	}
	if got := c.do(t, "/big", "--head").must(t, 200); got.body != "" || got.header.Get("Content-Length") != fmt.Sprint(8<<20) {
		t.Errorf("HEAD: %s", got)
	}
	for _, method := range []string{"DELETE", "PATCH", "PROPFIND", "REPORT"} {
		mustHold(t, c.do(t, "/x%2Fy//z?", "--request", method, "--path-as-is").must(t, 200).json(t), map[string]any{"method": method, "url": "/x%2Fy//z?"})
	}
}

// curlHeads shows what else there is besides a response's head and body.
func curlHeads(t *testing.T, c curler) {
	if got := c.do(t, "/hints").must(t, 200); len(got.interim) != 1 || got.interim[0] != 103 || got.body != "hinted" {
		t.Errorf("early hints: %s", got)
	}
	got := finish(t, c.command(t, "/trailers", "--dump-header", "-")).must(t, 0).stdout
	_, rest, _ := strings.Cut(got, "first ")
	if !strings.Contains(rest, "42") || !strings.Contains(strings.ToLower(rest), "x-late: yes") {
		t.Errorf("trailers: got\n%s", got)
	}
}

// curlReuse makes two requests, for which one connection is enough.
func curlReuse(t *testing.T, c curler) {
	const format = "%{num_connects} %{http_code}\n"
	cmd := c.command(t, "/echo", "--output", "/dev/null", "--write-out", format, c.url("/cookies"), "--next",
		"--silent", "--cacert", c.s.home.rootFile(), "--connect-to", "::127.0.0.1:", c.proto, "--data", "x", "--output", "/dev/null", "--write-out", format)
	if got := finish(t, cmd).must(t, 0).stdout; got != "1 200\n0 200\n" {
		t.Errorf("connections made and statuses:\n%s", got)
	}
}

// curlRefused asks whether it may send a file, and is told that it may not.
// Over HTTP/2 net/http answers such a question itself, and the app never
// hears it.
func curlRefused(t *testing.T, c curler) {
	path, _ := upload(t, 2<<20)
	got := c.do(t, "/unwanted", "--header", "Expect: 100-continue", "--upload-file", path).must(t, 413)
	if got.body != "too much" || len(got.interim) != 0 {
		t.Errorf("got %s", got)
	}
}

// TestCookies passes what an app sets byte for byte, in its order.
func TestCookies(t *testing.T) {
	s := startNode(t)
	want := []string{
		"session=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
		"shared=1; Domain=proj.localhost; Path=/; Secure; SameSite=Lax",
		"third=x; Path=/; Secure; SameSite=None; Partitioned",
		`quoted="a, b"; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Max-Age=3600`,
		"__Host-strict=%C3%A9; Path=/; Secure",
		"odd=a=b=c;path=/;SAMESITE=strict",
		"session=again; Path=/deep",
		"empty=; Max-Age=0",
	}
	for _, p := range curlProtocols {
		t.Run(p.name, func(t *testing.T) {
			var got []string
			for _, line := range (curler{s: s, host: "node.localhost", proto: p.flag}).do(t, "/cookies").must(t, 200).lines {
				if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "Set-Cookie") {
					got = append(got, value)
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
