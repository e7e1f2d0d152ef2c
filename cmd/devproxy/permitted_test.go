package main

import (
	"os"
	"strings"
	"testing"

	"devproxy/internal/issuer"
)

// TestOwnMaking: a CA that somebody has put there is not trusted for more than
// one of devproxy's own could sign for.
func TestOwnMaking(t *testing.T) {
	a := newApp([]string{"devproxy"}, os.Getenv, nil, nil, nil)
	for _, tt := range []struct {
		domains []string
		refused string
	}{
		{nil, ""},
		{[]string{"shop.example.dev"}, ""},
		{[]string{"com"}, "com"},
		{[]string{"shop.example.dev", "co.uk"}, "co.uk"},
	} {
		state := t.TempDir() + "/state"
		ca, _, err := issuer.LoadOrCreate(state, tt.domains)
		if err != nil {
			t.Fatal(err)
		}
		err = a.checkOwnMaking(ca, state)
		if tt.refused == "" && err != nil {
			t.Errorf("%q: %v, want no objection", tt.domains, err)
		}
		if tt.refused != "" && (err == nil || !strings.Contains(err.Error(), "may sign for "+tt.refused)) {
			t.Errorf("%q: %v, want a refusal that names %s", tt.domains, err, tt.refused)
		}
	}
}
