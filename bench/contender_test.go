package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every proxy stands before the same backends, and gets all its values.
func TestSettings(t *testing.T) {
	const app, live = "127.0.0.1:1001", "127.0.0.1:1002"
	for _, kind := range []kind{devproxyKind(), caddyKind(), nginxKind(), haproxyKind(), stockKind()} {
		c := &contender{kind: kind, dir: t.TempDir(), port: 1003, saved: []string{"saved0.shop.localhost"}}
		b := &bench{dir: t.TempDir(), backend: app, live: live, authority: &authority{cert: "/c.pem", key: "/k.pem", bundle: "/b.pem"}}
		if err := b.configure(c); err != nil {
			t.Fatal(err)
		}
		config := strings.Join(kind.argv(c, b.settings(c)), " ")
		if kind.config != "" {
			text, err := os.ReadFile(filepath.Join(c.dir, kind.config))
			if err != nil {
				t.Fatal(err)
			}
			config += "\n" + string(text)
		}
		for _, want := range []string{app, live, "1003"} {
			if !strings.Contains(config, want) {
				t.Errorf("%s: no %q in\n%s", kind.name, want, config)
			}
		}
		if strings.Contains(config, "<no value>") {
			t.Errorf("%s: a value is missing in\n%s", kind.name, config)
		}
	}
}
