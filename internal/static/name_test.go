package static

import (
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestAliasOnWindows(t *testing.T) {
	for _, tt := range []struct {
		element string
		want    bool
	}{
		{"GIT~1", true},
		{"git~1", true},
		{"ENVLOC~1.TXT", true},
		{"GI7EBA~1", true},
		{"A~10.JS", true},
		{"a.txt.", true},
		{"a.txt ", true},
		{"a.txt::$DATA", true},
		{"a:b", true},
		{"a?", true},
		{"a*", true},
		{"a<", true},
		{"a\tb", true},
		{"vendors~main.js", false},
		{"vendors~main~1.js", false},
		{"app~1.html", false},
		{"~1.js", true},
		{"app~", false},
		{"~app", false},
		{"app~1x.js", false},
		{"a.txt", false},
		{" a", false},
		{"a..b", false},
		{"é", false},
	} {
		if got := aliasOnWindows(tt.element); got != tt.want {
			t.Errorf("%q: got %t, want %t", tt.element, got, tt.want)
		}
	}
}

// Whatever the path, only what is visible within the folder is served, and a
// redirect stays on the host.
func FuzzPath(f *testing.F) {
	dir := tree(f, map[string]string{
		"index.html":         "ok",
		"a.txt":              "ok",
		"docs/index.html":    "ok",
		"docs/.env":          secret,
		"evil.example/a.txt": "ok",
		".env":               secret,
		".git/config":        secret,
		"bare/..a":           secret,
	})
	if err := os.Symlink("../outside", dir+"/out"); err == nil {
		os.Symlink("../outside/index.html", dir+"/docs/out.html")
		os.Symlink(".", dir+"/loop")
	}
	for _, path := range []string{
		"/", "", "/a.txt", "/docs", "/docs/", "//evil.example", "//evil.example/..", "/../outside/index.html",
		"/%2e%2e/outside/index.html", "/..%2foutside%2findex.html", "/..%5coutside%5cindex.html", "/docs/../.env",
		"/.env", "/%2eenv", "/.env.", "/.env ", "/.env::$DATA", "/GIT~1/config", "/a.txt%00", "/out/index.html",
		"/docs/out.html", "/loop/loop/a.txt", "/loop/../../outside/", "/bare/..a", "/./.env", "\\evil.example\\", "/CON", "/docs/%E2%80%8C.env",
	} {
		f.Add(path)
	}
	h := New(dir)
	f.Fuzz(func(t *testing.T, raw string) {
		paths := []string{raw}
		if decoded, err := url.PathUnescape(raw); err == nil {
			paths = append(paths, decoded)
		}
		for _, path := range paths {
			w := get(h, path)
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("%q: got a secret", path)
			}
			switch w.Code {
			case 200:
				if w.Body.String() != "ok" {
					t.Errorf("%q: got %q", path, w.Body)
				}
			case 307:
				base := &url.URL{Scheme: "https", Host: "site.localhost", Path: "/" + strings.TrimPrefix(path, "/")}
				to, err := base.Parse(w.Header().Get("Location"))
				if err != nil || to.Scheme != "https" || to.Host != base.Host || to.Path != base.Path+"/" {
					t.Errorf("%q: redirected to %v (%q), error %v", path, to, w.Header().Get("Location"), err)
				}
			case 404:
			default:
				t.Errorf("%q: got %d %q", path, w.Code, w.Body)
			}
		}
	})
}
