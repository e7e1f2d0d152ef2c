package proxy

import (
	"io"
	"net/http"
	"testing"
)

// A handler below a stripped prefix sees paths of its own, and the browser is
// at a folder when it shows what is there.
func TestHandlerBelowPrefix(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path+" "+r.URL.EscapedPath())
	})
	f := start(t, Route{Host: "app.localhost", Path: "/a/docs", Backend: Backend{Handler: h}, Rules: Rules{StripPrefix: true}})
	both(t, func(t *testing.T, protocol string) {
		client := f.client(t, protocol)
		for path, want := range map[string]string{
			"/a/docs/":        "/ /",
			"/a/docs/x/y.css": "/x/y.css /x/y.css",
			"/a/docs/x%2Fy":   "/x/y /x%2Fy",
			"/a/docs//z":      "//z //z",
			"/a/docs/%20":     "/  /%20",
		} {
			if _, got := get(t, client, f.url("app.localhost", path)); got != want {
				t.Errorf("%s: got %q, want %q", path, got, want)
			}
		}
	})
	res := f.raw(t, "app.localhost", "GET /a/docs?x=1 HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
	if res.StatusCode != 307 || res.Header.Get("Location") != "./docs/?x=1" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the prefix itself: got %d to %q, %q", res.StatusCode, res.Header.Get("Location"), res.Header.Get("Cache-Control"))
	}
}
