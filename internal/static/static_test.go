package static

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestPaths(t *testing.T) {
	dir := tree(t, map[string]string{
		"index.html":           "home",
		"a.txt":                "a",
		"docs/index.html":      "docs",
		"docs/b c.txt":         "b c",
		"bare/c.txt":           "c",
		"odd/index.html/d.txt": "d",
		".env":                 secret,
		".git/config":          secret,
		".well/index.html":     secret,
		"docs/.hidden/e.txt":   secret,
		"hidden/.index.html":   secret,
		"percent%2e/f.txt":     "f",
	})
	h := New(dir)
	for _, tt := range []struct {
		path   string
		status int
		want   string // the body, or a part of it if it is not 200
	}{
		{"/", 200, "home"},
		{"", 200, "home"},
		{"//", 200, "home"},
		{"/index.html", 200, "home"},
		{"/a.txt", 200, "a"},
		{"a.txt", 200, "a"},
		{"//a.txt", 200, "a"},
		{"/docs/", 200, "docs"},
		{"/docs//", 200, "docs"},
		{"/docs/index.html", 200, "docs"},
		{"/docs/b c.txt", 200, "b c"},
		{"/percent%2e/f.txt", 200, "f"},
		{"/docs", 307, ""},
		{"/a.txt/", 404, "devproxy: the folder of this route has no such file\n"},
		{"/a.txt/x", 404, "no such file"},
		{"/index.html/", 404, "no such file"},
		{"/none", 404, "no such file"},
		{"/none/", 404, "no such file"},
		{"/bare/", 404, "devproxy: this folder has no index.html\n"},
		{"/odd/", 404, "no index.html"},
		{"/hidden/", 404, "no index.html"},
		{"/.env", 404, "no such file"},
		{"/.git/config", 404, "no such file"},
		{"/.git", 404, "no such file"},
		{"/.well/", 404, "no such file"},
		{"/docs/.hidden/e.txt", 404, "no such file"},
		{"/\u200c.env", 404, "no such file"},
		{"/...", 404, "no such file"},
		{"/.", 404, "no such file"},
		{"/..", 404, "no such file"},
		{"/../outside/", 404, "no such file"},
		{"/../outside/index.html", 404, "no such file"},
		{"/docs/../a.txt", 404, "no such file"},
		{"/docs/./index.html", 404, "no such file"},
		{"/..\\outside\\index.html", 404, "no such file"},
		{"/docs\\index.html", 404, "no such file"},
		{"/a.txt\x00", 404, "no such file"},
		{"/\x00", 404, "no such file"},
		{"/\xff", 404, "no such file"},
		{"/" + dir + "/a.txt", 404, "no such file"},
		{"/" + strings.Repeat("x", 5000), 404, "no such file"},
		{"/" + strings.Repeat("x/", 5000), 404, "no such file"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := serve(h, request(method, tt.path))
			body := w.Body.String()
			if method == "HEAD" && w.Result().StatusCode == 200 {
				if body != "" || w.Header().Get("Content-Length") != fmt.Sprint(len(tt.want)) {
					t.Errorf("HEAD %q: got body %q, header %v", tt.path, body, w.Header())
				}
				body = tt.want
			}
			if w.Code != tt.status || !strings.Contains(body, tt.want) || w.Code == 200 && body != tt.want {
				t.Errorf("%s %q: got %d %q, want %d %q", method, tt.path, w.Code, body, tt.status, tt.want)
			}
			want := "no-store"
			if w.Code == 200 {
				want = "no-cache"
			}
			if got := w.Header().Get("Cache-Control"); got != want {
				t.Errorf("%s %q: Cache-Control: got %q, want %q", method, tt.path, got, want)
			}
			if strings.Contains(body, filepath.Dir(dir)) {
				t.Errorf("%s %q: the body tells the place: %q", method, tt.path, body)
			}
		}
	}
}

// The redirect of a folder leads to the same path with a slash, whatever
// prefix the handler was not told of, and nowhere else.
func TestRedirect(t *testing.T) {
	folders := []string{"docs", "evil.example", "javascript:alert(1)", "a b", "é", "50%", "q?x=1", "h#i", "docs/in"}
	dir := tree(t, nil)
	for _, name := range folders {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(name)), 0o700); err != nil {
			t.Skip(err)
		}
	}
	h := New(dir)
	for _, tt := range []struct{ prefix, path, query string }{
		{"", "/docs", ""},
		{"", "/docs", "a=1&b=%2f"},
		{"/pre/fix", "/docs", ""},
		{"", "/docs/in", "x"},
		{"", "//evil.example", ""},
		{"", "///evil.example", ""},
		{"/pre", "//evil.example", ""},
		{"", "/javascript:alert(1)", ""},
		{"", "/a b", ""},
		{"", "/é", ""},
		{"", "/50%", ""},
		{"", "/q?x=1", ""},
		{"", "/h#i", "x"},
	} {
		r := request("GET", tt.path)
		r.URL.RawQuery = tt.query
		w := serve(h, r)
		location := w.Header().Get("Location")
		base := &url.URL{Scheme: "https", Host: "site.localhost", Path: tt.prefix + tt.path}
		got, err := base.Parse(location)
		if err != nil {
			t.Errorf("%q: Location %q: %v", tt.path, location, err)
			continue
		}
		want := &url.URL{Scheme: "https", Host: "site.localhost", Path: base.Path + "/", RawQuery: tt.query}
		if w.Code != 307 || got.Host != want.Host || got.Path != want.Path || got.RawQuery != want.RawQuery || got.Scheme != "https" {
			t.Errorf("%q: got %d to %q, that is %s, want %s", tt.path, w.Code, location, got, want)
		}
	}
	if w := get(h, "/evil.example/.."); w.Code != 404 {
		t.Errorf("/evil.example/..: got %d, want 404", w.Code)
	}
}

func TestMethods(t *testing.T) {
	h := New(tree(t, map[string]string{"a.txt": "a"}))
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"} {
		w := serve(h, request(method, "/a.txt"))
		if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%q: got %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

// A build tool deletes and recreates what is served.
func TestRecreated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dist")
	h := New(dir)
	for round := range 3 {
		w := get(h, "/")
		if w.Code != 404 || !strings.Contains(w.Body.String(), "the folder of this route does not exist") || strings.Contains(w.Body.String(), dir) {
			t.Errorf("without the folder: got %d %q", w.Code, w.Body)
		}
		write(t, filepath.Join(dir, "index.html"), fmt.Sprint(round))
		if w := get(h, "/"); w.Code != 200 || w.Body.String() != fmt.Sprint(round) {
			t.Errorf("round %d: got %d %q", round, w.Code, w.Body)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, secret)
	if w := get(h, "/"); w.Code != 404 || !strings.Contains(w.Body.String(), "does not exist") {
		t.Errorf("a file for a folder: got %d %q", w.Code, w.Body)
	}
}

// A file that shrinks while it is sent never makes a response that looks
// complete, and one that grows does not make one too long.
func TestChangedWhileSent(t *testing.T) {
	const size = 64 << 20 // more than what the connection's buffers take
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, tt := range []struct {
			name, ranges string
			size         int64
			whole        bool
		}{
			{"truncated", "", 1 << 20, false},
			{"emptied", "", 0, false},
			{"range", "bytes=100-", 1 << 20, false},
			{"ranges", fmt.Sprintf("bytes=0-%d,%d-", size/2, size/2+100), 1 << 20, false},
			{"grown", "", 2 * size, true},
			{"same", "", size, true},
		} {
			t.Run(protocol+"/"+tt.name, func(t *testing.T) {
				dir := tree(t, map[string]string{"big.bin": ""})
				big := filepath.Join(dir, "big.bin")
				if err := os.Truncate(big, size); err != nil {
					t.Fatal(err)
				}
				server := httptest.NewUnstartedServer(New(dir))
				server.EnableHTTP2 = protocol == "HTTP/2.0"
				server.StartTLS()
				defer server.Close()
				r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/big.bin", nil)
				if err != nil {
					t.Fatal(err)
				}
				if tt.ranges != "" {
					r.Header.Set("Range", tt.ranges)
				}
				response, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if response.Proto != protocol || response.ContentLength < 0 {
					t.Fatalf("got %s, length %d", response.Proto, response.ContentLength)
				}
				if err := os.Truncate(big, tt.size); err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, response.Body)
				if !tt.whole && response.ProtoMajor == 2 && errors.Is(err, io.ErrUnexpectedEOF) {
					t.Error("the stream ended as if all were there")
				}
				if whole := err == nil && n == response.ContentLength; whole != tt.whole || err == nil && !whole {
					t.Errorf("got %d of %d bytes, error %v; want all: %t", n, response.ContentLength, err, tt.whole)
				}
			})
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	h := New(tree(t, map[string]string{"index.html": "home", "docs/index.html": "docs", "a.txt": "a"}))
	want := map[string]string{"/": "home", "/docs/": "docs", "/a.txt": "a"}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				for path, body := range want {
					if w := get(h, path); w.Code != 200 || w.Body.String() != body {
						t.Errorf("%s: got %d %q", path, w.Code, w.Body)
					}
				}
			}
		})
	}
	wg.Wait()
}
