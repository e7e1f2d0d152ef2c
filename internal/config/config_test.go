package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"devproxy/internal/hostname"
)

// folder is where relative paths begin.
const folder = "/srv/my app"

var routeArgs = []struct{ arg, want, mistake string }{
	{"shop.localhost=5173", "shop.localhost / http://localhost:5173", ""},
	{"Shop.LocalHost.=http://Backend:80", "shop.localhost / http://backend:80", ""},
	{"shop.localhost/api/=127.0.0.1:8000", "", `route "shop.localhost/api/": the target "127.0.0.1:8000" has no scheme`},
	{"shop.localhost/api/=http://127.0.0.1", "shop.localhost /api http://127.0.0.1:80", ""},
	{"*.shop.localhost=builtin:hello", "*.shop.localhost / builtin:hello", ""},
	{"bücher.test=1", "xn--bcher-kva.test / http://localhost:1", ""},
	{"shop.localhost=http://a/?x=1", "", `route "shop.localhost": the target "http://a/?x=1" has a query`},
	{"shop.localhost", "", `route "shop.localhost": no target`},
	{"shop.localhost=", "", `route "shop.localhost": no target`},
	{"=5173", "", `route "": no host name`},
	{"", "", `route "": no target`},
	{"shop.localhost=70000", "", `route "shop.localhost": port 70000 is not between 1 and 65535`},
	{"shop.localhost=unix:/tmp/s", "shop.localhost / unix:/tmp/s", ""},
	{"shop.localhost=unix:shop.sock", "shop.localhost / unix:/srv/my app/shop.sock", ""},
	{"shop.localhost=unix:///run/shop 100%.sock", "shop.localhost / unix:/run/shop 100%.sock", ""},
	{"shop.localhost=DIR:../www//a/./b/", "shop.localhost / dir:/srv/www/a/b", ""},
	{"shop.localhost=dir:.", "shop.localhost / dir:/srv/my app", ""},
	{"shop.localhost=dir:/", "shop.localhost / dir:/", ""},
	{"shop.localhost=dir:/a?b#c=d@e", "shop.localhost / dir:/a?b#c=d@e", ""},
	{"shop.localhost=dir:~x", "shop.localhost / dir:/srv/my app/~x", ""},
	{"shop.localhost=unix:./@x", "shop.localhost / unix:/srv/my app/@x", ""},
	{"shop.localhost=https://Backend", "shop.localhost / https://backend:443", ""},
	{"shop.localhost=h2c://[::1]", "shop.localhost / h2c://[::1]:80", ""},
	{"shop.localhost=dir:~/www", "", `route "shop.localhost": in the path "~/www" nothing puts a home folder in place of ~`},
	{"shop.localhost=dir:/tmp/x /", "", `route "shop.localhost": the path "/tmp/x /" ends with a blank`},
	{"shop.localhost=dir:/tmp/\xff", "", `route "shop.localhost": the path "/tmp/\xff" contains a character that is not printable`},
	{"shop.localhost=http://u:s3cret@a", "", `route "shop.localhost": a target must not hold a user name or password`},
}

func TestParseRoute(t *testing.T) {
	for _, tt := range routeArgs {
		r, err := ParseRoute(tt.arg, folder)
		if tt.mistake != "" {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Error() != tt.mistake || e.File != "" || e.Line != 0 {
				t.Errorf("ParseRoute(%q): error %v, want %q", tt.arg, err, tt.mistake)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseRoute(%q): %v", tt.arg, err)
			continue
		}
		if got := fmt.Sprintf("%s %s %s", r.Host, r.Path, r.TargetText()); got != tt.want || r.Line != 0 {
			t.Errorf("ParseRoute(%q) = %s (line %d), want %s", tt.arg, got, r.Line, tt.want)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, tt := range routeArgs {
		f.Add(tt.arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		r, err := ParseRoute(arg, folder)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok || !reflect.DeepEqual(r, Route{}) {
				t.Fatalf("ParseRoute(%q) = %+v, %v", arg, r, err)
			}
			return
		}
		// What is shown can be typed again.
		for _, key := range []string{r.Key(), r.Host + r.Path} {
			again, err := ParseRoute(key+"="+r.TargetText(), "/elsewhere")
			if err != nil || !reflect.DeepEqual(again, r) {
				t.Fatalf("ParseRoute(%q) = %+v; again from %q: %+v, %v", arg, r, key, again, err)
			}
		}
	})
}

func TestKey(t *testing.T) {
	for want, r := range map[string]Route{
		"shop.localhost":       {Host: "shop.localhost", Path: "/"},
		"shop.localhost/api":   {Host: "shop.localhost", Path: "/api"},
		"*.bücher.test/%C3%BC": {Host: "*.xn--bcher-kva.test", Path: "/%C3%BC"},
	} {
		if got := r.Key(); got != want {
			t.Errorf("Key() = %q, want %q", got, want)
		}
	}
}

func TestDefault(t *testing.T) {
	c := Default()
	got := describe(c)
	want := "listen [] unset=true\nredirect [] unset=true\ndomains []\nlog {Level:info Format:console Access:true}\n" +
		"route hello.localhost / → builtin:hello (hello.localhost, line 0)\n"
	if got != want || c.File != "" {
		t.Errorf("got %q\n%swant\n%s", c.File, got, want)
	}
}

func TestWithRoutes(t *testing.T) {
	c, err := Parse("f", []byte("[routes]\n\"a.localhost\" = 1\n\"b.localhost\" = 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := describe(c)
	var extra []Route
	for _, arg := range []string{"B.localhost=20", "b.localhost/x=21", "c.dev=3", "c.dev=4"} {
		r, err := ParseRoute(arg, folder)
		if err != nil {
			t.Fatal(err)
		}
		extra = append(extra, r)
	}
	merged := c.WithRoutes(extra)
	var got []string
	for _, r := range merged.Routes {
		got = append(got, fmt.Sprintf("%s=%s:%d", r.Key(), r.Target.Port(), r.Line))
	}
	if want := "a.localhost=1:2 b.localhost=20:0 b.localhost/x=21:0 c.dev=4:0"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(merged.Warnings) != 1 || merged.Warnings[0].Key != `route "c.dev"` {
		t.Errorf("warnings %v, want one for c.dev", merged.Warnings)
	}
	if after := describe(c); after != before || len(c.Warnings) > 0 {
		t.Errorf("the original changed from\n%sto\n%s", before, after)
	}
}

// The routes of the command line get warnings for what they end up with.
func TestWithRoutesWarns(t *testing.T) {
	const text = "listen = [\"127.0.0.1:9443\"]\n[routes]\n\"a.dev\" = 1\n\"b.localhost\" = 2\n"
	c, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"b.localhost=3", ""},
		{"b.localhost=9443", `route "b.localhost": the target http://localhost:9443 is devproxy itself, which listens on 127.0.0.1:9443`},
		{"c.localhost=80", `route "c.localhost": the target http://localhost:80 is devproxy itself, which listens on 127.0.0.1:80 unless told otherwise`},
		{"c.localhost=443", ""},
		{"c.localhost=80 c.localhost=3", ""},
		{"a.dev=http://evil.example", `route "a.dev": requests, with their cookies and passwords, leave this machine unencrypted for evil.example:80`},
	} {
		var extra []Route
		for _, arg := range strings.Fields(tt.args) {
			r, err := ParseRoute(arg, folder)
			if err != nil {
				t.Fatal(err)
			}
			extra = append(extra, r)
		}
		var got []string
		for _, w := range c.WithRoutes(extra).Warnings[len(c.Warnings):] {
			got = append(got, w.Error())
		}
		if strings.Join(got, "\n") != tt.want {
			t.Errorf("%s: new warnings %q, want %q", tt.args, got, tt.want)
		}
	}
	if len(c.Warnings) != 1 {
		t.Errorf("the original has the warnings %v, want one for a.dev", c.Warnings)
	}
}

// An entry that is no public suffix any more, or never was, warns of nothing.
func TestSharedAreSuffixes(t *testing.T) {
	for _, suffix := range shared {
		if domain, e := parseDomain(suffix); e == nil {
			t.Errorf("parseDomain(%q) = %q, want a mistake", suffix, domain)
		}
		if _, e := parseDomain(hostname.Parent(suffix)); e != nil {
			t.Errorf("%q need not be listed: %v", suffix, e)
		}
	}
}

func TestErrors(t *testing.T) {
	a, b := &Error{File: "f", Line: 3, Message: "a"}, &Error{File: "f", Key: "k", Message: "b"}
	err := fmt.Errorf("reload: %w", errors.Join(a, errors.New("other"), errors.Join(b)))
	if got := Errors(err); len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("Errors = %v, want both", got)
	}
	if got := Errors(nil); got != nil {
		t.Errorf("Errors(nil) = %v", got)
	}
	for want, e := range map[string]*Error{
		"f:3: a": a, "f: k: b": b, "k: b": {Key: "k", Line: 3, Message: "b", Hint: "h"},
	} {
		if e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
}

func TestReaches(t *testing.T) {
	for _, tt := range []struct {
		target, own string
		want        bool
	}{
		{"http://127.0.0.1:443", "127.0.0.1:443", true},
		{"http://127.0.0.1:444", "127.0.0.1:443", false},
		{"http://127.0.0.2:443", "127.0.0.1:443", false},
		{"http://127.0.0.2:443", "0.0.0.0:443", true},
		{"http://0.0.0.0:443", "127.0.0.1:443", true},
		{"http://[::]:443", "[::1]:443", true},
		{"http://[::1]:443", "127.0.0.1:443", false},
		{"http://[::ffff:127.0.0.1]:443", "127.0.0.1:443", true},
		{"http://localhost:443", "[::1]:443", true},
		{"http://shop.localhost:443", "127.0.0.1:443", true},
		{"http://localhost:443", "192.168.1.2:443", false},
		{"http://192.168.1.2:443", "0.0.0.0:443", false}, // perhaps another machine
		{"http://backend:443", "127.0.0.1:443", false},
		{"http://127.0.0.1:443", "127.0.0.1:0", false},
	} {
		u, err := url.Parse(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := reaches(u, netip.MustParseAddrPort(tt.own)); got != tt.want {
			t.Errorf("reaches(%s, %s) = %v, want %v", tt.target, tt.own, got, tt.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"lisen", "listen"}, {"listne", "listen"}, {"listens", "listen"}, {"route", "routes"},
		{"lgo", "log"}, {"logs", "log"}, {"Warning", ""}, {"zebra", ""}, {"", ""}, {"x", ""},
		{strings.Repeat("listen", 20), ""},
	} {
		if got := nearest(tt.word, topSection.keys); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
	if got := nearest("warning", []string{"debug", "warn"}); got != "warn" {
		t.Errorf("nearest(warning) = %q, want warn", got)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abc", 0}, {"abcd", "acbd", 1},
		{"kitten", "sitting", 3}, {"lvl", "level", 2},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// However a rule for headers is misspelt, no message shows its value.
func TestNoMessageShowsAHeader(t *testing.T) {
	const secret = "s3cret"
	values := []string{
		`"` + secret, `'` + secret, secret, secret + ` "x"`, `"""` + secret, `"\q` + secret + `"`, `"x" ` + secret, `"x" "` + secret + `"`,
		`["` + secret + `"]`, `["` + secret, `{ a = "` + secret + `" }`, `{ a = ` + secret + ` }`, "0x" + secret, "+" + secret, "1.5" + secret,
		`Bearer ` + secret, `"` + secret + "\"\nX-A = \"" + secret + `"`, `"` + secret + `\n"`, `"http://` + secret + `"`,
	}
	for _, before := range []string{
		"[routes.\"a.localhost\"]\nto = 1\n[routes.\"a.localhost\".request_headers.set]\nX-A = ",
		"[routes.\"a.localhost\"]\nto = 1\n[routes.\"a.localhost\".response_headers]\nset.X-A = ",
		"[routes.\"a.localhost\"]\nto = 1\n[routes.\"a.localhost\".request_headers]\nX-A = ",
		"[routes.\"a.localhost\"]\nto = 1\n[routes.\"a.localhost\".request_headers]\nremove = ",
		"[routes.\"a.localhost\"]\nto = 1\nrequest_headers.set.Connection = ",
		"[routes.a.localhost.request_header.set]\nConnection = ",
		"[request_headers.set]\nX-A = ",
	} {
		for _, value := range values {
			_, err := Parse("f", []byte(before+value+"\n"))
			for _, e := range Errors(err) {
				if strings.Contains(e.Error()+e.Hint, secret) {
					t.Errorf("%s\n%s: %v\nhint: %s", before, value, e, e.Hint)
				}
			}
		}
	}
}
