package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// shapes are the ways in which a file can have many routes, a line or more for
// each.
var shapes = []struct{ name, route string }{
	{"short", "\"app%d.localhost\" = 5000\n"},
	{"paths", "\"app.localhost/p%d\" = \"http://127.0.0.1:5000\"\n"},
	{"wildcards", "\"*.t%d.app.localhost\" = 5000\n"},
	{"long", "[routes.\"app%d.localhost\"]\nto = 5000\nhold = \"1s\"\n"},
	{"headers", "[routes.\"app%d.localhost\"]\nto = 5000\nrequest_headers = { set = { X-A = \"1\" } }\n"},
}

// manyRoutes is a file with n routes.
func manyRoutes(route string, n int) []byte {
	var text strings.Builder
	text.WriteString("[routes]\n")
	for i := range n {
		fmt.Fprintf(&text, route, i)
	}
	return []byte(text.String())
}

// As many routes as fit into a file are read in about half a second. The limit
// leaves room for slow machines, not for work that grows with the square.
func TestParseMany(t *testing.T) {
	for _, shape := range shapes {
		n := maxSize / (len(shape.route) + 4)
		text := manyRoutes(shape.route, n)
		start := time.Now()
		cfg, err := Parse("f", text)
		if err != nil {
			t.Fatalf("%s: %v", shape.name, err)
		}
		if got := len(cfg.Routes); got != n {
			t.Errorf("%s: got %d routes, want %d", shape.name, got, n)
		}
		if d := time.Since(start); d > 8*time.Second {
			t.Errorf("%s: %d routes took %v", shape.name, n, d)
		}
	}
}

func BenchmarkParseMany(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			text := manyRoutes(shape.route, 10_000)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("f", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
