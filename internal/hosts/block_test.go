package hosts

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const (
	oneBlock = beginLine + "\n127.0.0.1 a.test\n::1 a.test\n# devproxy end\n"
	twoBlock = beginLine + "\n127.0.0.1 a.test\n::1 a.test\n127.0.0.1 b.test\n::1 b.test\n# devproxy end\n"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
func bare(s string) string { return strings.TrimSuffix(s, "\n") }

var updateTests = []struct {
	name, content string
	names         []string
	want          string
}{
	{"empty file", "", []string{"a.test"}, oneBlock},
	{"appended", "127.0.0.1 localhost\n", []string{"a.test"}, "127.0.0.1 localhost\n" + oneBlock},
	{"no final newline", "127.0.0.1 localhost", []string{"a.test"}, "127.0.0.1 localhost\n" + bare(oneBlock)},
	{"blank lines at the end", "x\n\n\n", []string{"a.test"}, "x\n\n\n" + oneBlock},
	{"CRLF", "x\r\ny\r\n", []string{"a.test"}, "x\r\ny\r\n" + crlf(oneBlock)},
	{"CRLF, no final newline", "x\r\ny", []string{"a.test"}, "x\r\ny\r\n" + crlf(bare(oneBlock))},
	{"lone CR at the end", "x\r", []string{"a.test"}, "x\r\n" + bare(oneBlock)},
	{"byte order mark", "\ufeffx\n", []string{"a.test"}, "\ufeffx\n" + oneBlock},
	{"not UTF-8", "# caf\xe9\n", []string{"a.test"}, "# caf\xe9\n" + oneBlock},
	{"sorted, once, normalised", "", []string{"B.test.", "a.test", "A.TEST"}, twoBlock},
	{"international", "", []string{"bücher.test"}, strings.ReplaceAll(oneBlock, "a.test", "xn--bcher-kva.test")},
	{"there already", "10.0.0.1 a.test\n", []string{"a.test"}, "10.0.0.1 a.test\n" + oneBlock},

	{"unchanged", "x\n" + oneBlock + "y\n", []string{"a.test"}, "x\n" + oneBlock + "y\n"},
	{"replaced in place", "x\n" + oneBlock + "y\n", []string{"b.test", "a.test"}, "x\n" + twoBlock + "y\n"},
	{"replaced, no final newline", "x\n" + bare(oneBlock), []string{"b.test", "a.test"}, "x\n" + bare(twoBlock)},
	{"other wording", "x\n# devproxy begin of old\nrubbish\n  # devproxy end \t\ny", []string{"a.test"}, "x\n" + oneBlock + "y"},
	{"not quite markers", "# devproxy beginner\n# devproxy ending\n## devproxy end\n", []string{"a.test"}, "# devproxy beginner\n# devproxy ending\n## devproxy end\n" + oneBlock},

	{"nothing to remove", "x", nil, "x"},
	{"removed", "x\n" + oneBlock, nil, "x\n"},
	{"removed between", "x\n" + oneBlock + "y", nil, "x\ny"},
	{"removed, no final newline", "x\n" + bare(oneBlock), nil, "x"},
	{"removed, CRLF without final newline", "x\r\ny\r\n" + crlf(bare(oneBlock)), nil, "x\r\ny"},
	{"removed, newline added since", "x\n" + bare(oneBlock) + "\ny\n", nil, "x\ny\n"},
	{"removed, the whole file", oneBlock, nil, ""},
	{"removed, the whole file without final newline", bare(oneBlock), nil, ""},
}

func TestUpdate(t *testing.T) {
	for _, tt := range updateTests {
		content, names := []byte(tt.content), slices.Clone(tt.names)
		got, err := update(content, names, loopback())
		if err != nil || string(got) != tt.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tt.name, got, err, tt.want)
		}
		if string(content) != tt.content || !slices.Equal(names, tt.names) {
			t.Errorf("%s: arguments were changed", tt.name)
		}
	}
}

var brokenTests = []struct {
	content string
	names   []string
	want    string
}{
	{"x\n# devproxy begin\n127.0.0.1 a\n", nil, `line 2: devproxy block without "# devproxy end"`},
	{"x\n\n# devproxy end\n", nil, `line 3: "# devproxy end" without a beginning`},
	{oneBlock + oneBlock, nil, "line 5: a second devproxy block; the first begins at line 1"},
	{"# devproxy begin\n" + oneBlock, nil, "line 2: a devproxy block begins inside that of line 1"},
	{oneBlock + "# devproxy end\n", nil, `line 5: "# devproxy end" without a beginning`},
	{"# devproxy begin\n# devproxy end127.0.0.1 appended", nil, `line 1: devproxy block without "# devproxy end"`},
	{"x\nb\x00inary", nil, "line 2: not a text file: it contains a NUL byte"},
	{"", []string{"*.test"}, `host name "*.test": character '*' is not allowed`},
	{"", []string{"a b", "c.test\n1.2.3.4 bank.example"}, `host name "a b"`},
	{"", []string{"127.0.0.1"}, `"127.0.0.1" is an IP address, not a host name`},
}

func TestUpdateRefuses(t *testing.T) {
	for _, tt := range brokenTests {
		got, err := update([]byte(tt.content), tt.names, loopback())
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("update(%q, %q) = %q, %v; want the error %q", tt.content, tt.names, got, err, tt.want)
		}
	}
}

func TestExpressible(t *testing.T) {
	names, wildcards := Expressible([]string{"a.test", "*.a.test", "b.test"})
	if !slices.Equal(names, []string{"a.test", "b.test"}) || !slices.Equal(wildcards, []string{"*.a.test"}) {
		t.Errorf("Expressible = %q, %q", names, wildcards)
	}
}

func FuzzUpdate(f *testing.F) {
	for _, tt := range updateTests {
		f.Add([]byte(tt.content), strings.Join(tt.names, " "))
	}
	for _, tt := range brokenTests {
		f.Add([]byte(tt.content), strings.Join(tt.names, " "))
	}
	f.Fuzz(func(t *testing.T, content []byte, list string) {
		names := strings.Fields(list)
		got, err := update(content, names, loopback())
		if err != nil {
			return
		}
		if again, err := update(got, names, loopback()); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("not idempotent: %q, then %q, %v", got, again, err)
		}
		clean, err := update(content, nil, loopback())
		if err != nil {
			t.Fatalf("sync works, clean does not: %v", err)
		}
		if restored, err := update(got, nil, loopback()); err != nil || !bytes.Equal(restored, clean) {
			t.Fatalf("%q cleaned is %q, %v; want %q", got, restored, err, clean)
		}
		wantBefore, wantAfter, hadBlock := around(content)
		if !hadBlock && !bytes.Equal(clean, content) {
			t.Fatalf("no block, yet clean made %q of %q", clean, content)
		}
		if len(names) == 0 {
			return
		}
		// Outside the block every byte is as it was, but for a newline that
		// parts it from a last line without one.
		before, after, _ := around(got)
		switch added, ok := strings.CutPrefix(before, wantBefore); {
		case !ok || after != wantAfter, added != "" && hadBlock, added != "" && added != "\n" && added != "\r\n":
			t.Fatalf("outside was %q, %q; is %q, %q", wantBefore, wantAfter, before, after)
		}
		// Every line of the block is ours.
		for line := range strings.Lines(string(got[len(before) : len(got)-len(after)])) {
			line = strings.TrimSpace(line)
			address, name, _ := strings.Cut(line, " ")
			if !strings.HasPrefix(line, "# devproxy ") && (address != "127.0.0.1" && address != "::1" || strings.ContainsAny(name, " \t\r#")) {
				t.Fatalf("line %q in the block", line)
			}
		}
	})
}

// around returns the lines before and after the block, found the naive way.
func around(content []byte) (before, after string, found bool) {
	lines := slices.Collect(strings.Lines(string(content)))
	index := func(marker string) int {
		return slices.IndexFunc(lines, func(line string) bool {
			line = strings.TrimSpace(line)
			return line == marker || strings.HasPrefix(line, marker+" ")
		})
	}
	first, last := index(begin), index(end)
	if first < 0 {
		return string(content), "", false
	}
	return strings.Join(lines[:first], ""), strings.Join(lines[last+1:], ""), true
}

func BenchmarkUpdate(b *testing.B) {
	content := bytes.Repeat([]byte("0.0.0.0 ads.example\n"), 100_000) // a block list
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := update(content, []string{"a.test"}, loopback()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestUpdateForOneFamily(t *testing.T) {
	for _, tt := range []struct {
		addr netip.Addr
		want string
	}{
		{loopback()[0], "127.0.0.1 a.test\n"},
		{loopback()[1], "::1 a.test\n"},
	} {
		got, err := update(nil, []string{"a.test"}, []netip.Addr{tt.addr})
		if want := beginLine + "\n" + tt.want + end + "\n"; err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}
