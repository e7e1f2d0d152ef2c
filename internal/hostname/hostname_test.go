package hostname

import (
	"strings"
	"testing"
)

var normalizeTests = []struct {
	in, want string // want "" means an error
}{
	{"shop.localhost", "shop.localhost"},
	{"Shop.LocalHost.", "shop.localhost"},
	{"bücher.test", "xn--bcher-kva.test"},
	{"BÜCHER.test", "xn--bcher-kva.test"},
	{"xn--bcher-kva.test", "xn--bcher-kva.test"},
	{"XN--BCHER-KVA.test", "xn--bcher-kva.test"},
	{"straße.test", "xn--strae-oqa.test"},
	{"app。test", "app.test"}, // ideographic full stop
	{"my_app.test", "my_app.test"},
	{"a--b.test", "a--b.test"},
	{"localhost", "localhost"},
	{strings.Repeat("a", 63) + ".test", strings.Repeat("a", 63) + ".test"},

	{"", ""},
	{".", ""},
	{"..", ""},
	{"a..test", ""},
	{".test", ""},
	{"shop.localhost..", ""},
	{"-a.test", ""},
	{"a-.test", ""},
	{"a b.test", ""},
	{"a/b.test", ""},
	{"a:80", ""},
	{"*.test", ""},
	{"127.0.0.1", ""},
	{"127.0.0.1.", ""},
	{"::1", ""},
	{"[::1]", ""},
	{"a\x00.test", ""},
	{"a\xff.test", ""},
	{"xn--zzzzzzzzzzzzzzzzz.test", ""},
	{strings.Repeat("a", 64) + ".test", ""},
	{strings.Repeat("a.", 127) + "test", ""},
	{strings.Repeat("ü", 2000), ""},
}

func TestNormalize(t *testing.T) {
	for _, tt := range normalizeTests {
		got, err := Normalize(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Normalize(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, tt := range normalizeTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Normalize(in)
		if err != nil {
			if got != "" {
				t.Fatalf("Normalize(%q) = %q with error %v", in, got, err)
			}
			return
		}
		if again, err := Normalize(got); err != nil || again != got {
			t.Fatalf("Normalize(%q) = %q, which normalises to %q, %v", in, got, again, err)
		}
		if len(got) == 0 || len(got) > 253 || strings.ToLower(got) != got || strings.HasSuffix(got, ".") {
			t.Fatalf("Normalize(%q) = %q", in, got)
		}
	})
}

func TestDisplay(t *testing.T) {
	for in, want := range map[string]string{
		"xn--bcher-kva.test":   "bücher.test",
		"*.xn--bcher-kva.test": "*.bücher.test",
		"shop.localhost":       "shop.localhost",
	} {
		if got := Display(in); got != want {
			t.Errorf("Display(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		name, domain string
		want         bool
	}{
		{"localhost", "localhost", true},
		{"a.localhost", "localhost", true},
		{"a.b.localhost", "b.localhost", true},
		{"notlocalhost", "localhost", false},
		{"localhost.evil.example", "localhost", false},
		{"host", "localhost", false},
	} {
		if got := Within(tt.name, tt.domain); got != tt.want {
			t.Errorf("Within(%q, %q) = %v, want %v", tt.name, tt.domain, got, tt.want)
		}
	}
}

func TestParent(t *testing.T) {
	for in, want := range map[string]string{"a.b.test": "b.test", "localhost": ""} {
		if got := Parent(in); got != want {
			t.Errorf("Parent(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNormalizeDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Normalize("app.shop.localhost") }); n != 0 {
		t.Errorf("%v allocations for a name in normal form, want 0", n)
	}
}
