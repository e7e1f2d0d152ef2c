package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder served by the command line's routes is not known to the file.
func TestWithRoutesServesKeyLog(t *testing.T) {
	c, err := Parse("/srv/shop/devproxy.toml", []byte("[tls]\nkeylog = \"logs/keys.log\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]int{
		"a.localhost=dir:/srv/shop":           1,
		"a.localhost=dir:/srv/shop/logs":      1,
		"a.localhost=dir:/":                   1,
		"a.localhost=dir:/srv/shop/logs/more": 0,
		"a.localhost=dir:/srv/shop/log":       0,
		"a.localhost=5000":                    0,
	} {
		r, err := ParseRoute(arg, folder)
		if err != nil {
			t.Fatal(err)
		}
		got := c.WithRoutes([]Route{r}).Warnings[len(c.Warnings):]
		if len(got) != want || want == 1 && got[0].Key != `route "a.localhost"` {
			t.Errorf("%s: new warnings %v, want %d", arg, got, want)
		}
	}
}

// A repository can bring links along: where a key log is written and what is
// served is where they lead.
func TestKeyLogBehindLinks(t *testing.T) {
	base := t.TempDir()
	repository := filepath.Join(base, "repository")
	for _, dir := range []string{"repository/site/deep", "repository/logs", "elsewhere"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"in": "site/deep", "out": "../elsewhere", "served": "logs"} {
		if err := os.Symlink(to, filepath.Join(repository, name)); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	for _, tt := range []struct {
		keylog, dir string
		served      bool
		outside     bool
	}{
		{keylog: "logs/keys.log", dir: "site"},
		{keylog: "in/keys.log", dir: "site", served: true},
		{keylog: "logs/keys.log", dir: "served", served: true},
		{keylog: "logs/new/keys.log", dir: "served", served: true},
		{keylog: "out/keys.log", dir: "site", outside: true},
		{keylog: "out/new/keys.log", dir: "site", outside: true},
		{keylog: "out/../keys.log", dir: "site"}, // cleaned before anything is opened
	} {
		text := fmt.Sprintf("[tls]\nkeylog = %q\n[routes]\n\"a.localhost\" = \"dir:%s\"\n", tt.keylog, tt.dir)
		c, err := Parse(filepath.Join(repository, "devproxy.toml"), []byte(text))
		if served := err != nil && strings.Contains(err.Error(), "serves"); served != tt.served {
			t.Errorf("%s, dir:%s: got %v, want it to be served: %t", tt.keylog, tt.dir, err, tt.served)
		}
		if err == nil && (len(c.Warnings) == 2) != tt.outside {
			t.Errorf("%s: got %v, want it to be outside: %t", tt.keylog, c.Warnings, tt.outside)
		}
	}
}
