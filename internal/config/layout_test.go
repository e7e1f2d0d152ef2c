package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

var layoutTests = []struct {
	name, text string
	path       []string
	want       int
}{
	{"bare", "a = 1\nb = 2\n", []string{"b"}, 2},
	{"quoted", "[routes]\n\"a.b\" = 1\n'c.d' = 2\n", []string{"routes", "c.d"}, 3},
	{"escaped", "\n\"\\u0061\\x62\\tc\" = 1\n", []string{"ab\tc"}, 2},
	{"dotted", "[routes]\na . \"b\" . c = 1\n", []string{"routes", "a", "b", "c"}, 2},
	{"implied table", "x = 1\na.b = 1\na.c = 2\n", []string{"a"}, 2},
	{"explicit after implied", "[a.b]\nc = 1\n[a]\nd = 1\n", []string{"a"}, 3},
	{"header", "# [a]\n[a] # c\n", []string{"a"}, 2},
	{"inline table", "a = { b = 1,\n c = { d = 2 } }\n", []string{"a", "c", "d"}, 2},
	{"after a multi-line string", "a = \"\"\"\nb = 1\n\\\"\"\" \"\"\"\"\"\nb = 2\n", []string{"b"}, 4},
	{"after a raw multi-line string", "a = '''\nb = 1\\'''\nb = 2\n", []string{"b"}, 3},
	{"element", "a = [\n  1, # one\n  [2,\n 3], ]\n", []string{"a", "1"}, 3},
	{"element after an array", "a = [\n  [1, 2],\n  3, ]\n", []string{"a", "1"}, 3},
	{"array of tables", "[[a]]\nb = 1\n[[a]]\nc = 1\n", []string{"a", "c"}, 4},
	{"date", "a = 1979-05-27 07:32:00 # d\nb = 1\n", []string{"b"}, 2},
	{"crlf", "a = 1\r\n\r\nb = 2\r\n", []string{"b"}, 3},
	{"nearest around", "[log]\nlevel = 1\n", []string{"log", "format"}, 1},
	{"absent", "a = 1\n", []string{"b"}, 0},
	{"before a mistake", "a = 1\nb = ]\nc = 1\n", []string{"b"}, 2},
	{"behind a mistake", "a = 1\nb = ]\nc = 1\n", []string{"c"}, 0},
}

func TestLayout(t *testing.T) {
	for _, tt := range layoutTests {
		t.Run(tt.name, func(t *testing.T) {
			if got := layoutOf(tt.text).line(tt.path...); got != tt.want {
				t.Errorf("line %d, want %d, in\n%s", got, tt.want, tt.text)
			}
		})
	}
}

func TestLayoutDepth(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int
	}{
		{"\na = " + strings.Repeat("[", 10_000), 2},
		{"\na = " + strings.Repeat("{a=", 10_000), 2},
		{"\n" + strings.Repeat("a.", 10_000) + "a = 1", 2},
		{"\n[" + strings.Repeat("a.", 10_000) + "a]", 2},
		{"a = " + strings.Repeat("[", 40) + strings.Repeat("]", 40), 0},
		{strings.Repeat("a.", maxDepth-1) + "a = 1", 0},
	} {
		if got := layoutOf(tt.text).deep; got != tt.want {
			t.Errorf("too deep on line %d, want %d: %.20q", got, tt.want, tt.text)
		}
	}
}

func TestClashes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a = 1\nb = 2\n", ""},
		{"a = 1\na = 2\n", "a:2 after a:1"},
		{"a.b = 1\na.c = 2\n", ""},
		{"a.b = 1\na = 2\n", "a:2 after a.b:1"},
		{"a = 1\na.b = 2\n", "a.b:2 after a:1"},
		{"a = { b = 1 }\na.c = 2\n", "a.c:2 after a:1"},
		{"a = { b = 1, b.c = 2 }\n", "a.b.c:1 after a.b:1"},
		{"a = { b = { c = 1 }, d.e = 2, d.f = 3 }\n", ""},
		{"[a]\n[a.b]\n", ""},
		{"[a.b]\n[a]\n", ""},
		{"[a]\nb = 1\n[a]\nc = 1\n", "a:3 after a:1"},
		{"a = 1\n[a]\nb = 1\n[a.c]\n", "a:2 after a:1"},
		{"[[a]]\nb = 1\n[[a]]\nb = 1\n[a.c]\nd = 1\n[[a]]\n[a.c]\nd = 1\n", ""},
		{"a = [{ b = 1 }, { b = 1 }]\n", ""},
	} {
		var got []string
		for _, c := range layoutOf(tt.text).clashes() {
			got = append(got, fmt.Sprintf("%s:%d after %s:%d", strings.Join(c.at.path, "."), c.at.line,
				strings.Join(c.earlier.path, "."), c.earlier.line))
		}
		if joined := strings.Join(got, ", "); joined != tt.want {
			t.Errorf("got %q, want %q, in\n%s", joined, tt.want, tt.text)
		}
	}
}

// FuzzLayout compares with toml: in a valid text the layout has the keys that
// toml finds, in the same order; and toml stumbles on the line that the layout
// gives when the key there is spoilt.
func FuzzLayout(f *testing.F) {
	for _, tt := range layoutTests {
		f.Add(tt.text)
	}
	for _, dir := range []string{"good", "bad"} {
		files, _ := filepath.Glob(filepath.Join("testdata", dir, "*.toml"))
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimPrefix(text, "\ufeff")
		l := layoutOf(text)
		l.clashes()
		if checkText([]byte(text)) != nil || l.deep > 0 || len(text) > 10_000 {
			return
		}
		var values map[string]any
		meta, err := toml.Decode(text, &values)
		if err != nil {
			return
		}
		places := slices.DeleteFunc(slices.Clone(l.places), func(p place) bool { return p.kind == element })
		if len(places) != len(meta.Keys()) {
			t.Fatalf("%d places, want %d, in\n%s", len(places), len(meta.Keys()), text)
		}
		for i, key := range meta.Keys() {
			p := places[i]
			if !slices.Equal(p.path, key) {
				t.Fatalf("place %d is %q, want %q, in\n%s", i, p.path, key, text)
			}
			at := p.offset
			if p.kind != valueKey {
				at += strings.IndexByte(text[at:], '[') + 1
			}
			_, err := toml.Decode(text[:at]+"="+text[at:], &values)
			syntax, ok := errors.AsType[toml.ParseError](err)
			if !ok || syntax.Position.Line != p.line {
				t.Fatalf("%q is on line %d, but spoilt there toml says %v, in\n%s", key, p.line, err, text)
			}
			if line := l.line(key...); line == 0 || line > p.line {
				t.Fatalf("%q is first on line %d, want at most %d, in\n%s", key, line, p.line, text)
			}
		}
	})
}

// A file of any content is judged in little time and memory.
func TestParseHostile(t *testing.T) {
	fill := func(prefix, unit string) []byte {
		return []byte(prefix + strings.Repeat(unit, maxSize/4/len(unit)))
	}
	for _, text := range [][]byte{
		fill("a = [", "1,"),
		fill("a = [", "[],"),
		fill("a = ", "["),
		fill("a = ", "{a="),
		fill("", "[a]\n"),
		fill("", "[[a]]\n"),
		fill("", "a=1\n"),
		fill("", "a."),
		fill("", strings.Repeat("a.", maxDepth-1)+"a=1\n"),
		fill("a = \"", "x"),
		fill("a = \"\"\"", "\\\n"),
		fill("[routes]\n", "\""),
	} {
		start := time.Now()
		_, err := Parse("f", text)
		checkErrors(t, err)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%.20q…: %v", text, d)
		}
	}
}

func BenchmarkParseLargest(b *testing.B) {
	var text strings.Builder
	text.WriteString("[routes]\n")
	for i := 0; text.Len() < maxSize-100; i++ {
		fmt.Fprintf(&text, "\"host%d.localhost/api\" = \"http://127.0.0.1:%d\"\n", i, 10_000+i%50_000)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := Parse("f", []byte(text.String())); err != nil {
			b.Fatal(err)
		}
	}
}
