package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A backend that dies within a response: curl says that there is a part
// missing, and another response on the same connection goes on.
func TestCurlSeesBrokenResponse(t *testing.T) {
	curl := tool(t, "curl")
	h := newHome(t)
	broke := make(chan struct{}, 10)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sized":
			w.Header().Set("Content-Length", "1000")
			fallthrough
		case "/chunked":
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
			broke <- struct{}{}
		case "/whole":
			io.WriteString(w, "first ")
			w.(http.Flusher).Flush()
			<-broke
			time.Sleep(100 * time.Millisecond)
			io.WriteString(w, "last")
		}
	}))
	t.Cleanup(backend.Close)
	s := start(t, h, head+fmt.Sprintf("routes.\"app.localhost\" = %q", backend.URL))
	fetch := func(args ...string) result {
		return h.run(t, curl, append([]string{"--silent", "--show-error", "--cacert", h.rootFile(),
			"--resolve", fmt.Sprintf("app.localhost:%d:127.0.0.1", s.port)}, args...)...)
	}
	const partialFile, http2Stream, recvError = 18, 92, 56
	for _, test := range []struct {
		version, path string
		codes         []int
	}{
		{"--http1.1", "/sized", []int{partialFile}},
		{"--http1.1", "/chunked", []int{partialFile, recvError}},
		{"--http2", "/sized", []int{http2Stream}},
		{"--http2", "/chunked", []int{http2Stream}},
	} {
		t.Run(strings.TrimLeft(test.version, "-")+test.path, func(t *testing.T) {
			got := fetch(test.version, s.url("app.localhost", test.path))
			<-broke
			if !slices.Contains(test.codes, got.code) || got.stdout != "half" {
				t.Errorf("want one of the exit codes %v and the first half: %s", test.codes, got)
			}
		})
	}
	t.Run("beside another stream", func(t *testing.T) {
		whole, half := filepath.Join(h.work, "whole"), filepath.Join(h.work, "half")
		got := fetch("--http2", "--parallel", "--write-out", "%{url} %{num_connects}\n",
			"-o", whole, s.url("app.localhost", "/whole"), "-o", half, s.url("app.localhost", "/sized"))
		if got.code == 0 {
			t.Errorf("curl saw nothing of it: %s", got)
		}
		if text, err := os.ReadFile(whole); string(text) != "first last" {
			t.Errorf("the other response is %q, %v\n%s", text, err, got)
		}
		connections := 0
		for line := range strings.Lines(got.stdout) {
			_, count, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, _ := strconv.Atoi(count)
			connections += n
		}
		if connections != 1 {
			t.Errorf("curl opened %d connections, want 1 for both\n%s", connections, got)
		}
	})
}
