package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// wsgiServers run flask_app.py.
var wsgiServers = []struct {
	name string
	args func(t *testing.T, port string) []string
}{
	{"flask", func(t *testing.T, port string) []string {
		return []string{python(t, "flask"), appFile(t, "flask_app.py"), port}
	}},
	{"gunicorn", func(t *testing.T, port string) []string {
		python(t, "flask")
		return []string{tool(t, "gunicorn"), "--bind", "127.0.0.1:" + port, "--threads", "8", "flask_app:app"}
	}},
	{"uwsgi", func(t *testing.T, port string) []string {
		python(t, "flask")
		return []string{tool(t, "uwsgi"), "--http-socket", "127.0.0.1:" + port, "--plugin", "python3",
			"--enable-threads", "--threads", "8", "--module", "flask_app:app"}
	}},
}

// TestFlask has Flask believe the proxy (ProxyFix), under the servers it runs
// on.
func TestFlask(t *testing.T) {
	for _, server := range wsgiServers {
		t.Run(server.name, func(t *testing.T) {
			port := freePort(t)
			startApp(t, "127.0.0.1:"+port, nil, server.args(t, port)...)
			h := newHome(t)
			s := start(t, h, head+fmt.Sprintf("routes.\"flask.localhost\" = \"http://127.0.0.1:%s\"", port))
			for _, p := range curlProtocols {
				t.Run(p.name, func(t *testing.T) {
					c := curler{s: s, host: "flask.localhost", proto: p.flag}
					if got := c.do(t, "/me"); got.proto != p.name {
						t.Fatalf("got %s, want %s", got.proto, p.name)
					}
					t.Run("place", func(t *testing.T) { flaskPlace(t, c) })
					t.Run("session", func(t *testing.T) { flaskSession(t, c) })
					t.Run("uploads", func(t *testing.T) { flaskUploads(t, c) })
					t.Run("refusals", func(t *testing.T) { flaskRefusals(t, c) })
					t.Run("pieces", func(t *testing.T) { flaskPieces(t, c) })
					t.Run("methods", func(t *testing.T) { flaskMethods(t, c) })
					t.Run("ranges", func(t *testing.T) { flaskRanges(t, c) })
				})
			}
			t.Run("events", func(t *testing.T) { flaskEvents(t, s) })
			t.Run("python", func(t *testing.T) {
				addHosts(t, "127.0.0.1", "flask.localhost")
				h.run(t, python(t, "requests"), appFile(t, "flask_client.py"), s.url("flask.localhost", ""), h.rootFile()).must(t, 0)
			})
		})
	}
}

// flaskPlace asks the app where it is and who asks.
func flaskPlace(t *testing.T, c curler) {
	host := strings.TrimPrefix(c.origin(), "https://")
	mustHold(t, c.do(t, "/seen?q=b&q=c", "--header", "X-Forwarded-For: 192.0.2.1", "--header", "X-Forwarded-Port: 1").must(t, 200).json(t), map[string]any{
		"scheme": "https", "secure": true, "host": host, "original_host": host,
		"url": c.url("/seen?q=b&q=c"), "page": c.url("/seen"),
		"client": "127.0.0.1", "port": fmt.Sprint(c.s.port), "forwarded_port": fmt.Sprint(c.s.port),
	})
}

// flaskSession logs in by a form: the redirect after it, and the cookie that is
// for https only.
func flaskSession(t *testing.T, c curler) {
	c.jar = filepath.Join(t.TempDir(), "jar")
	got := c.do(t, "/login", "--data", "name=squirrel").must(t, 303)
	if location := got.header.Get("Location"); location != c.url("/me") {
		t.Errorf("redirected to %s, want %s", location, c.url("/me"))
	}
	if cookie := got.header.Get("Set-Cookie"); !strings.Contains(cookie, "Secure; HttpOnly; Path=/; SameSite=Lax") {
		t.Errorf("the session's cookie is %q", cookie)
	}
	if got := c.do(t, "/me").must(t, 200); got.body != "squirrel" {
		t.Errorf("the session is %q's, want squirrel's", got.body)
	}
	if got := c.do(t, "/logout", "--data", "").must(t, 302).header.Get("Location"); got != "/me" {
		t.Errorf("redirected to %s, want /me as the app says", got)
	}
	if got := c.do(t, "/me").must(t, 200); got.body != "nobody" {
		t.Errorf("the session is %q's after its end", got.body)
	}
}

// upload returns a file of some size and its hash.
func upload(t *testing.T, size int) (path, hash string) {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 13 % 257)
	}
	path = filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("%x", sha256.Sum256(data))
}

// flaskUploads sends bodies with and without a length. curl asks for
// permission first where the protocol knows that.
func flaskUploads(t *testing.T, c curler) {
	const size = 5<<20 + 7
	path, hash := upload(t, size)
	whole := map[string]any{"sha256": hash, "bytes": float64(size)}

	got := c.do(t, "/upload", "--upload-file", path).must(t, 200)
	mustHold(t, got.json(t), whole)
	mustHold(t, got.json(t), map[string]any{"length": fmt.Sprint(size), "encoding": nil})
	if want := c.proto == "--http1.1"; (len(got.interim) == 1 && got.interim[0] == 100) != want {
		t.Errorf("interim responses %v; a single 100 is %v", got.interim, want)
	}

	cmd := c.command(t, "/upload", "--include", "--upload-file", "-")
	cmd.Stdin = must(os.Open(path))
	chunked, err := parseReply(finish(t, cmd).must(t, 0).stdout)
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, chunked.must(t, 200).json(t), whole)
	mustHold(t, chunked.json(t), map[string]any{"length": nil, "encoding": "chunked"})

	form := c.do(t, "/upload", "--form", "file=@"+path).must(t, 200).json(t)
	if form["bytes"].(float64) <= size {
		t.Errorf("a form of %v bytes, want more than the file's", form["bytes"])
	}
}

// flaskRefusals are answers that come before the body was read, which it never
// will be. curl 7.88 loses such an answer over HTTP/2 if it comes in one piece,
// so another client uploads.
func flaskRefusals(t *testing.T, c curler) {
	const want = "refused unread"
	client := c.s.client(t)
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = c.proto == "--http2"
	for range 4 {
		req := must(http.NewRequest("PUT", c.url("/refuse"), bytes.NewReader(make([]byte, 3<<20))))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("an upload: %v", err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 403 || string(body) != want {
			t.Errorf("an upload: %s %q, %v", resp.Status, body, err)
		}
		if got := c.do(t, "/refuse", "--data", "name=squirrel").must(t, 403); got.body != want {
			t.Errorf("a form: %s", got)
		}
	}
}

// flaskPieces reads a response whose pieces are sent only once the one before
// was seen.
func flaskPieces(t *testing.T, c curler) {
	name := strings.Trim(c.proto, "-") + "-pieces"
	cmd := c.command(t, "/pieces/"+name, "--no-buffer")
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("piece %d\n", i); err != nil || line != want {
			t.Fatalf("got %q, %v; want %q", line, err, want)
		}
		c.do(t, "/ack/"+name, "--data", "").must(t, 204)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// flaskMethods are requests whose answers have no body.
func flaskMethods(t *testing.T, c curler) {
	if got := c.do(t, "/file", "--head").must(t, 200); got.header.Get("Content-Length") != "100000" || got.body != "" {
		t.Errorf("HEAD: %s", got)
	}
	if got := c.do(t, "/upload", "--request", "OPTIONS").must(t, 200).header.Get("Allow"); !strings.Contains(got, "PUT") || !strings.Contains(got, "OPTIONS") {
		t.Errorf("OPTIONS: Allow is %q", got)
	}
	if got := c.do(t, "/page", "--header", `If-None-Match: "v1"`).must(t, 304); got.header.Get("Etag") != `"v1"` || got.body != "" {
		t.Errorf("conditional: %s", got)
	}
	c.do(t, "/page", "--header", `If-None-Match: "v0"`).must(t, 200)
	c.do(t, "/login").must(t, 405)
	c.do(t, "/ack/nobody", "--data", "").must(t, 204)
}

// flaskRanges asks for parts of a file.
func flaskRanges(t *testing.T, c curler) {
	file := make([]byte, 100_000)
	for i := range file {
		file[i] = byte(i * 7 % 251)
	}
	for _, tt := range []struct {
		send, ifRange string
		status        int
		contentRange  string
		want          []byte
	}{
		{"bytes=10-19", "", 206, "bytes 10-19/100000", file[10:20]},
		{"bytes=99990-", "", 206, "bytes 99990-99999/100000", file[99990:]},
		{"bytes=10-19", `"v2"`, 206, "bytes 10-19/100000", file[10:20]},
		{"bytes=10-19", `"v1"`, 200, "", file},
		{"bytes=200000-", "", 416, "bytes */100000", nil},
	} {
		args := []string{"--header", "Range: " + tt.send}
		if tt.ifRange != "" {
			args = append(args, "--header", "If-Range: "+tt.ifRange)
		}
		got := c.do(t, "/file", args...).must(t, tt.status)
		if got.header.Get("Content-Range") != tt.contentRange || tt.want != nil && !bytes.Equal([]byte(got.body), tt.want) {
			t.Errorf("%s, If-Range %q: Content-Range %q and %d bytes; want %q and %d",
				tt.send, tt.ifRange, got.header.Get("Content-Range"), len(got.body), tt.contentRange, len(tt.want))
		}
	}
}

// flaskEvents is an event stream: its head comes before any event, each event
// at once, and the app notices that the client has gone.
func flaskEvents(t *testing.T, s *server) {
	for _, h2 := range []bool{true, false} {
		client := s.client(t)
		if !h2 {
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		}
		name := fmt.Sprintf("events-%v", h2)
		say := func(text string) {
			t.Helper()
			resp, err := client.PostForm(s.url("flask.localhost", "/ack/"+name), url.Values{"say": {text}})
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		req := must(http.NewRequestWithContext(ctx, "GET", s.url("flask.localhost", "/events/"+name), nil))
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); (resp.ProtoMajor == 2) != h2 || !strings.HasPrefix(got, "text/event-stream") {
			t.Fatalf("%s %s of %s", resp.Proto, resp.Status, got)
		}
		events := bufio.NewReader(resp.Body)
		for _, text := range []string{"one", "two"} {
			say(text)
			line, err := events.ReadString('\n')
			if want := "data: " + text + "\n"; err != nil || line != want {
				t.Fatalf("got %q, %v; want %q", line, err, want)
			}
			events.ReadString('\n')
		}
		leave()
		for deadline := time.Now().Add(patience); ; {
			say("more") // an app of this kind learns by writing
			if s.get(t, client, "flask.localhost", "/closed/"+name) == "{\"closed\":true}\n" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the app has not learned that its reader is gone")
			}
		}
	}
}
