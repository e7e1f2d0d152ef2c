package static

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// secret is in every file that must never be served.
const secret = "SECRET"

// tree writes files, by name, into a folder "site" of a new folder, beside a
// file with a secret, and returns the path of site.
func tree(tb testing.TB, files map[string]string) string {
	tb.Helper()
	top := tb.TempDir()
	write(tb, filepath.Join(top, "outside", "index.html"), secret)
	dir := filepath.Join(top, "site")
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, text := range files {
		write(tb, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	return dir
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// later returns a handler for whom all files were left alone for an hour.
func later(dir string) http.Handler {
	return &folder{dir, func() time.Time { return time.Now().Add(time.Hour) }}
}

// request returns what a handler gets for a path, decoded, and header fields
// given as name and value in turn.
func request(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "https://site.localhost/", nil)
	r.URL = &url.URL{Path: path}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	return serve(h, request("GET", path, header...))
}
