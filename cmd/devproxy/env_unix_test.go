//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A folder may have any name; what env prints of it is read by a shell.
func TestEnvHostileFolders(t *testing.T) {
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "HOME="+home, "DEVPROXY_HOME=", "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "SUDO_UID=", "SUDO_USER=")
	rotate := exec.CommandContext(t.Context(), "devproxy", "ca", "rotate") // see TestMain
	rotate.Env = environ
	if out, err := rotate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tt := range []struct {
		folder  string
		comment bool
	}{
		{"plain", true},
		{"it's $(touch ran) `touch ran` \"", true},
		{"bücher 日本", true},
		{"a\ntouch ran #", false},
		{"a\rtouch ran\r#", false},
		{"a\r\ntouch ran\n", false},
		{"\x1b[2J", false},
		{"\u2028touch ran", false},
		{"\xfftouch ran", false},
	} {
		dir := filepath.Join(home, tt.folder)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Logf("skipping %q: %v", tt.folder, err) // macOS wants UTF-8
			continue
		}
		config := filepath.Join(dir, "devproxy.toml")
		if err := os.WriteFile(config, []byte("[routes]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for shell, script := range map[string]string{
			"sh":   `eval "$(devproxy env --shell sh --config "$CONFIG")"; printf '%s' "$SSL_CERT_FILE"`,
			"bash": `eval "$(devproxy env --shell bash --config "$CONFIG")"; printf '%s' "$SSL_CERT_FILE"`,
			"zsh":  `eval "$(devproxy env --shell zsh --config "$CONFIG")"; printf '%s' "$SSL_CERT_FILE"`,
			"fish": `devproxy env --shell fish --config "$CONFIG" | source; printf '%s' "$SSL_CERT_FILE"`,
		} {
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				continue
			}
			cmd := exec.CommandContext(t.Context(), shell, "-c", script)
			cmd.Dir = dir
			cmd.Env = append(environ, "CONFIG="+config)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), home) {
				t.Errorf("%q: %s: %v, %q; want the variables set", tt.folder, shell, err, out)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("%q: %s: the folder holds %v, %v; want the configuration only", tt.folder, shell, entries, err)
			}
		}
		for _, shell := range []string{"sh", "fish", "powershell"} {
			cmd := exec.CommandContext(t.Context(), "devproxy", "env", "--shell", shell, "--config", config)
			cmd.Env = environ
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%q: %s: %v", tt.folder, shell, err)
			}
			if got := strings.Contains(string(out), "\n# "); got != tt.comment {
				t.Errorf("%q: %s: prints %q; want a comment: %t", tt.folder, shell, out, tt.comment)
			}
		}
	}
}
