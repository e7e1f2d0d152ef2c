package doctor

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	s := newScene(t)
	folder := t.TempDir()
	named := write(t, filepath.Join(folder, "0a1b2c3d.0"), nil, 0o644)
	for _, tt := range []struct {
		name, value string
		state       State
		detail      string
	}{
		{"SSL_CERT_FILE", s.system, OK, "holds the root"},
		{"SSL_CERT_FILE", s.foreign, Warn, "lacks the root"},
		{"CURL_CA_BUNDLE", s.foreign, Warn, "curl and Python's requests"},
		{"REQUESTS_CA_BUNDLE", s.foreign, Warn, "requests"},
		{"PIP_CERT", "/none.pem", Warn, "not there"},
		{"AWS_CA_BUNDLE", "/dev/null", Warn, "not a file"},
		{"GIT_SSL_CAINFO", named, Warn, "no certificate"},
		{"SSL_CERT_DIR", folder, Warn, "no certificate"},
		{"NODE_EXTRA_CA_CERTS", s.root, OK, "holds the root"},
		{"NODE_TLS_REJECT_UNAUTHORIZED", "0", Warn, "verifies nobody"},
		{"JAVA_TOOL_OPTIONS", "-Djavax.net.ssl.trustStore=" + s.foreign, Warn, "lacks the root"},
		{"HTTPS_PROXY", "http://proxy:3128", Warn, "shop.localhost"},
	} {
		clear(s.env)
		s.env[tt.name] = tt.value
		got := s.Environment(t.Context(), []string{"shop.localhost"})
		if len(got) != 1 || got[0].Subject != tt.name || got[0].State != tt.state || !strings.Contains(got[0].Detail, tt.detail) {
			t.Errorf("%s=%s: got %+v, want %s, …%s…", tt.name, tt.value, got, tt.state, tt.detail)
			continue
		}
		if got[0].State != OK && got[0].Fix == "" {
			t.Errorf("%s=%s: no way out", tt.name, tt.value)
		}
	}
	clear(s.env)
	s.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "1"
	s.env["JAVA_TOOL_OPTIONS"] = "-Xmx1g"
	if got := s.Environment(t.Context(), nil); len(got) != 0 {
		t.Errorf("got %+v, want nothing to say", got)
	}
}

// TestFolder: OpenSSL reads what is named after a hash, Go everything.
func TestFolder(t *testing.T) {
	s := newScene(t)
	hash, plain := t.TempDir(), t.TempDir()
	pem, err := readRegular(s.root)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(hash, "0a1b2c3d.0"), pem, 0o644)
	write(t, filepath.Join(plain, "root.pem"), pem, 0o644)
	s.SystemFiles = []string{s.foreign}
	s.Python = func(context.Context, string) (Python, error) { return Python{File: s.foreign}, nil }
	s.Stores = nil
	for _, tt := range []struct {
		client, dir string
		want        State
	}{
		{"python", hash, OK},
		{"python", plain, Fail},
		{"go", hash, OK},
		{"go", plain, OK},
	} {
		s.env["SSL_CERT_DIR"] = tt.dir
		if got := s.verdict(t, tt.client); got.State != tt.want {
			t.Errorf("%s with %s: got %+v, want %s", tt.client, tt.dir, got, tt.want)
		}
	}
}

// TestAskPython asks the real one.
func TestAskPython(t *testing.T) {
	program, err := exec.LookPath("python3")
	if err != nil {
		skip(t, "python3 is not installed")
	}
	dir := t.TempDir()
	// What lies in a folder of PYTHONPATH is the person's own; the working
	// directory's is not looked at.
	t.Chdir(dir)
	write(t, filepath.Join(dir, "ssl.py"), []byte("raise SystemExit(3)\n"), 0o644)
	packages := t.TempDir()
	write(t, filepath.Join(packages, "requests", "__init__.py"), nil, 0o644)
	write(t, filepath.Join(packages, "certifi", "__init__.py"), []byte("def where(): return '/my/list.pem'\n"), 0o644)
	got, err := AskPython(t.Context(), program, []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "PYTHONPATH=" + packages})
	if err != nil {
		t.Fatal(err)
	}
	if got.Dir == "" || got.Certifi != "/my/list.pem" {
		t.Errorf("got %+v, want a folder and /my/list.pem", got)
	}
	if left, _ := filepath.Glob(filepath.Join(packages, "*", "__pycache__")); len(left) > 0 {
		t.Errorf("it wrote %q", left)
	}

	slow := write(t, filepath.Join(t.TempDir(), "python3"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o755)
	if _, err := AskPython(t.Context(), slow, nil); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("a Python that hangs: %v", err)
	}
}
