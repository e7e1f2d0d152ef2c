package main

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct{ arg, text, address, path string }{
		{"shop.localhost", "shop.localhost", "shop.localhost:443", ""},
		{"Shop.LOCALHOST.", "shop.localhost", "shop.localhost:443", ""},
		{"shop.localhost:8443", "shop.localhost:8443", "shop.localhost:8443", ""},
		{"shop.localhost/api", "shop.localhost", "shop.localhost:443", "/api"},
		{"https://shop.localhost", "https://shop.localhost", "shop.localhost:443", ""},
		{"HTTPS://shop.localhost:1/a%20b?q#f", "https://shop.localhost:1/a%20b", "shop.localhost:1", "/a%20b"},
		{"https://shop.localhost:", "https://shop.localhost", "shop.localhost:443", ""},
		{"bücher.localhost", "bücher.localhost", "xn--bcher-kva.localhost:443", ""},
		{"https://xn--bcher-kva.localhost/", "https://bücher.localhost/", "xn--bcher-kva.localhost:443", "/"},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1:443", ""},
		{"::1", "[::1]", "[::1]:443", ""},
		{"[::1]:8443", "[::1]:8443", "[::1]:8443", ""},
		{"https://[::1]/", "https://[::1]/", "[::1]:443", "/"},
	} {
		got, err := parseTarget(tt.arg)
		if err != nil {
			t.Errorf("parseTarget(%q): %v", tt.arg, err)
			continue
		}
		if got.text != tt.text || got.address() != tt.address || got.path != tt.path {
			t.Errorf("parseTarget(%q) = %+v at %s, want %+v", tt.arg, got, got.address(), tt)
		}
	}
	for _, arg := range []string{
		"", " ", "a b", "a\x1b[31m", "a\nb", "http://a.localhost", "ftp://a", "a:0", "https://a:0", "a:65536", "a:x", "[::1]:0",
		"https://user:secret@a.localhost", "user@a.localhost", "https://", "https://:443", "*.a.localhost", "a..b", "-a.localhost",
		"[fe80::1%25lo]:443", "[::1", strings.Repeat("a.", 127) + "aa", strings.Repeat("a", 64) + ".test", "https://a\x00.test", "a%00b", "\xff.test",
	} {
		got, err := parseTarget(arg)
		if err == nil {
			t.Errorf("parseTarget(%q) = %+v, want an error", arg, got)
			continue
		}
		if exitCode(err) != exitUsage {
			t.Errorf("parseTarget(%q): exit code %d, want %d", arg, exitCode(err), exitUsage)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("parseTarget(%q) repeats the password: %v", arg, err)
		}
	}
}
