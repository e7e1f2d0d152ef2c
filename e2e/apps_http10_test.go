package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClosingBackends are servers that end the connection with each response:
// by HTTP/1.0, and by HTTP/1.1 without a word about it.
func TestClosingBackends(t *testing.T) {
	for _, version := range []string{"1.0", "1.1"} {
		t.Run(version, func(t *testing.T) {
			port := freePort(t)
			startApp(t, "127.0.0.1:"+port, nil, python(t), appFile(t, "http10_app.py"), port, version)
			s := start(t, newHome(t), head+fmt.Sprintf("routes.\"old.localhost\" = \"http://127.0.0.1:%s\"", port))
			whole := strings.Repeat("0123456789", 20_000)
			for _, p := range curlProtocols {
				t.Run(p.name, func(t *testing.T) {
					c := curler{s: s, host: "old.localhost", proto: p.flag}
					if got := c.do(t, "/endless").must(t, 200); got.proto != p.name || got.body != whole || got.header.Get("Content-Length") != "" {
						t.Errorf("without a length: %s", got)
					}
					if got := c.do(t, "/page").must(t, 200); got.body != "/page" || got.header.Get("Content-Length") != "5" || got.header.Get("Connection") != "" {
						t.Errorf("with a length: %s", got)
					}
					c.do(t, "/page", "--head").must(t, 200)
					path, hash := upload(t, 1<<20+1)
					if got := c.do(t, "/", "--data-binary", "@"+path).must(t, 200); got.body != hash {
						t.Errorf("an upload: %s", got)
					}
				})
			}
			// The client's connection goes on, whatever the backend does with its own.
			client := s.client(t)
			for i := range 200 {
				path := fmt.Sprintf("/%d", i)
				if got := s.get(t, client, "old.localhost", path); got != path {
					t.Fatalf("got %q, want %q", got, path)
				}
			}
		})
	}
}

// TestPythonsFileServer is python -m http.server, which speaks HTTP/1.0.
func TestPythonsFileServer(t *testing.T) {
	h := newHome(t)
	data := bytes.Repeat([]byte("acorn\x00"), 100_000)
	if err := os.WriteFile(filepath.Join(h.work, "file.bin"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(h.work, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	startApp(t, "127.0.0.1:"+port, nil, python(t), "-m", "http.server", "--bind", "127.0.0.1", "--directory", h.work, port)
	s := start(t, h, head+fmt.Sprintf("routes.\"files.localhost\" = \"http://127.0.0.1:%s\"", port))
	for _, p := range curlProtocols {
		t.Run(p.name, func(t *testing.T) {
			c := curler{s: s, host: "files.localhost", proto: p.flag}
			got := c.do(t, "/file.bin").must(t, 200)
			if got.body != string(data) {
				t.Errorf("got %d bytes, want %d", len(got.body), len(data))
			}
			c.do(t, "/file.bin", "--header", "If-Modified-Since: "+got.header.Get("Last-Modified")).must(t, http.StatusNotModified)
			if got := c.do(t, "/sub").must(t, http.StatusMovedPermanently).header.Get("Location"); got != "/sub/" {
				t.Errorf("redirected to %q", got)
			}
			c.do(t, "/none").must(t, http.StatusNotFound)
			if got := c.do(t, "/file.bin", "--head").must(t, 200); got.header.Get("Content-Length") != fmt.Sprint(len(data)) {
				t.Errorf("HEAD: %s", got)
			}
			c.do(t, "/file.bin", "--request", "DELETE").must(t, http.StatusNotImplemented)
		})
	}
}
