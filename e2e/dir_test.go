package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFolder serves a folder to curl: below the whole host, and below a prefix.
func TestFolder(t *testing.T) {
	curl := tool(t, "curl")
	h := newHome(t)
	site := filepath.Join(h.work, "site")
	if err := os.MkdirAll(filepath.Join(site, "docs", ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.write(t, "site/index.html", "<h1>home</h1>")
	h.write(t, "site/docs/index.html", "<h1>docs</h1>")
	h.write(t, "site/docs/.git/config", "secret")
	h.write(t, "site/app.js", "export const n = 123456789")
	h.write(t, "secret.txt", "secret")
	if err := os.Symlink("../secret.txt", filepath.Join(site, "link.txt")); err != nil {
		t.Fatal(err)
	}
	s := start(t, h, head+`
[routes]
"site.localhost" = "dir:site"
[routes."app.localhost/static"]
to = "dir:site"
strip_prefix = true
response_headers = { set = { Access-Control-Allow-Origin = "*" } }
`)
	ask := func(host, path string, args ...string) result {
		t.Helper()
		args = append(args, "-sS", "-i", "--path-as-is", "--cacert", h.rootFile(), s.url(host, path))
		return h.run(t, curl, args...).must(t, 0)
	}
	// A file that has just changed has none: another change might look the same.
	etag := ""
	for deadline := time.Now().Add(patience); etag == ""; time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(ask("site.localhost", "/app.js").stdout) {
			if value, ok := strings.CutPrefix(line, "etag: "); ok {
				etag = strings.TrimSpace(value)
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the file never gets an ETag")
		}
	}
	for _, test := range []struct {
		host, path string
		args       []string
		want       []string
	}{
		{"site.localhost", "/", nil, []string{"HTTP/2 200", "text/html", "<h1>home</h1>"}},
		{"site.localhost", "/", []string{"--http1.1"}, []string{"HTTP/1.1 200", "<h1>home</h1>"}},
		{"site.localhost", "/", []string{"-I"}, []string{"HTTP/2 200", "content-length: 13"}},
		{"site.localhost", "/docs", nil, []string{"HTTP/2 307", "location: ./docs/"}},
		{"site.localhost", "/docs/", nil, []string{"<h1>docs</h1>"}},
		{"site.localhost", "/app.js", []string{"-r", "7-11"}, []string{"HTTP/2 206", "content-range: bytes 7-11/26", "\r\n\r\nconst"}},
		{"site.localhost", "/app.js", []string{"-H", "If-None-Match: " + etag}, []string{"HTTP/2 304"}},
		{"site.localhost", "/app.js", []string{"-H", "If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT"}, []string{"HTTP/2 304"}},
		{"site.localhost", "/app.js", []string{"-d", "x"}, []string{"HTTP/2 405", "allow: GET, HEAD"}},
		{"site.localhost", "/docs/.git/config", nil, []string{"HTTP/2 404"}},
		{"site.localhost", "/link.txt", nil, []string{"HTTP/2 404"}},
		{"site.localhost", "/../secret.txt", nil, []string{"HTTP/2 404"}},
		{"site.localhost", "/%2e%2e/secret.txt", nil, []string{"HTTP/2 404"}},
		{"app.localhost", "/static?x", nil, []string{"HTTP/2 307", "location: ./static/?x"}},
		{"app.localhost", "/static/app.js", nil, []string{"text/javascript", "access-control-allow-origin: *", "123456789"}},
		{"app.localhost", "/staticapp.js", nil, []string{"HTTP/2 404", "No route"}},
	} {
		got := ask(test.host, test.path, test.args...).stdout
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s%s %q lacks %q:\n%s", test.host, test.path, test.args, want, got)
			}
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s%s gives away what is outside:\n%s", test.host, test.path, got)
		}
	}
}
