package config

import "testing"

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
