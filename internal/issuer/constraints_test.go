package issuer

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConstraintsPermit(t *testing.T) {
	c := NewConstraints([]string{"shop.example.dev", "xn--bcher-kva.example"})
	for host, want := range map[string]bool{
		"localhost":             true,
		"shop.localhost":        true,
		"*.shop.localhost":      true,
		"*.localhost":           true,
		"a.b.test":              true,
		"nas.home.arpa":         true,
		"shop.example.dev":      true,
		"*.shop.example.dev":    true,
		"xn--bcher-kva.example": true,
		"127.0.0.1":             true,
		"127.255.0.1":           true,
		"::1":                   true,
		"::ffff:127.0.0.1":      true,
		"192.168.0.10":          true,
		"fe80::1%eth0":          true,

		"":                        false,
		"example.dev":             false,
		"*.example.dev":           false,
		"myshop.example.dev":      false,
		"bank.example":            false,
		"notlocalhost":            false,
		"localhost.bank.example":  false,
		"arpa":                    false,
		"8.8.8.8":                 false,
		"2606:4700:4700::1111":    false,
		"shop.localhost.":         false, // not normalised
		"192.168.0.10.test.com":   false,
		"xn--bcher-kva.localhos.": false,
	} {
		if err := c.Permits(host); (err == nil) != want {
			t.Errorf("Permits(%q) = %v, want permitted %v", host, err, want)
		}
	}
}

func TestConstraintsErrorNamesThem(t *testing.T) {
	c := NewConstraints([]string{"xn--bcher-kva.example"})
	for host, words := range map[string][]string{
		"bank.example":       {`"bank.example"`, "localhost, test, internal, local, home.arpa, bücher.example"},
		"xn--strae-oqa.shop": {`"straße.shop"`},
		"8.8.8.8":            {"8.8.8.8", "127.0.0.0/8", "fe80::/10"},
	} {
		err := c.Permits(host)
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("Permits(%q) = %v, want it to name %s", host, err, word)
			}
		}
	}
}

func TestConstraintsUnion(t *testing.T) {
	old := NewConstraints([]string{"a.example"})
	before := slices.Clone(old.DNS)
	domains := []string{"b.example", "a.example", "x.a.example", "b.example", "y.b.example", "shop.localhost"}

	if got, want := old.Missing(domains), []string{"b.example", "b.example", "y.b.example"}; !slices.Equal(got, want) {
		t.Errorf("Missing = %q, want %q", got, want)
	}
	u := old.Union(domains)
	if want := append(before, "b.example"); !slices.Equal(u.DNS, want) {
		t.Errorf("union = %q, want %q", u.DNS, want)
	}
	if got := u.Missing(domains); len(got) > 0 {
		t.Errorf("the union misses %q", got)
	}
	u.DNS[0], u.IP[0] = "changed", netip.Prefix{}
	if !slices.Equal(old.DNS, before) || !old.IP[0].IsValid() {
		t.Error("union shares memory with its receiver")
	}
	if domains[1] != "a.example" {
		t.Error("Missing changed its argument")
	}
}

// TestConstraintsThatPermitAll: whatever a caller passes, no CA comes about
// that can sign for everything.
func TestConstraintsThatPermitAll(t *testing.T) {
	ip := NewConstraints(nil).IP
	for what, c := range map[string]Constraints{
		"none":           {},
		"no addresses":   {DNS: []string{"test"}},
		"no names":       {IP: ip},
		"empty name":     {DNS: []string{"test", ""}, IP: ip},
		"leading dot":    {DNS: []string{".test"}, IP: ip},
		"wildcard":       {DNS: []string{"*.test"}, IP: ip},
		"not normalised": {DNS: []string{"TEST"}, IP: ip},
		"every address":  {DNS: []string{"test"}, IP: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		"zero prefix":    {DNS: []string{"test"}, IP: []netip.Prefix{{}}},
		"not masked":     {DNS: []string{"test"}, IP: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}},
		"empty domain":   NewConstraints([]string{""}),
	} {
		if ca, err := newCA(c, time.Now()); err == nil {
			t.Errorf("%s: made a CA for %v", what, ca.Constraints())
		}
	}
}
