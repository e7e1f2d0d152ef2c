package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// family is an app on two hosts that share a cookie: web sets it, with a
// script that asks api, which tells what came.
func family(t *testing.T) (backend string, came <-chan string) {
	t.Helper()
	cookies := make(chan string, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "shared=acorn; Domain=proj.localhost; Path=/; Secure; SameSite=Strict")
		w.Header().Add("Set-Cookie", "own=twig; Path=/; Secure; SameSite=Strict")
		w.Header().Add("Set-Cookie", "all=leaf; Domain=localhost; Path=/; Secure; SameSite=Strict") // no browser takes it
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!DOCTYPE html><script>
			fetch("https://" + location.host.replace("web.", "api.") + "/read", {mode: "no-cors", credentials: "include"});
		</script>`)
	})
	mux.HandleFunc("GET /read", func(w http.ResponseWriter, r *http.Request) { cookies <- r.Header.Get("Cookie") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, cookies
}

// TestSharedCookie is a cookie for two hosts of a project, in curl and in
// browsers.
func TestSharedCookie(t *testing.T) {
	backend, came := family(t)
	h := newHome(t)
	s := start(t, h, usual+fmt.Sprintf("routes.\"web.proj.localhost\" = %q\nroutes.\"api.proj.localhost\" = %[1]q", backend))
	read := func(t *testing.T) {
		t.Helper()
		select {
		case got := <-came:
			if got != "shared=acorn" {
				t.Errorf("api got %q, want the shared cookie alone", got)
			}
		case <-time.After(patience):
			t.Error("api was not asked")
		}
	}
	t.Run("curl", func(t *testing.T) {
		web := curler{s: s, host: "web.proj.localhost", proto: "--http2", jar: filepath.Join(t.TempDir(), "jar")}
		if got := web.do(t, "/").must(t, 200).header["Set-Cookie"]; len(got) != 3 || !strings.Contains(got[0], "Domain=proj.localhost") {
			t.Errorf("cookies set: %q", got)
		}
		api := web
		api.host = "api.proj.localhost"
		api.do(t, "/read").must(t, 200)
		read(t)
	})
	t.Run("browsers", func(t *testing.T) {
		browsers := startBrowsers(t, h)
		trustAll(t, h)
		for _, b := range browsers {
			t.Run(b.name, func(t *testing.T) {
				b.open(t, s.url("web.proj.localhost", "/"))
				read(t)
			})
		}
		stopBrowsers(t, browsers)
	})
}
