package main

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

func testConfig(t *testing.T, domains ...string) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Domains = domains
	return cfg
}

// TestCAReport holds the names that scripts rely on.
func TestCAReport(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	ca, _, err := issuer.LoadOrCreate(state, []string{"shop.example.dev"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	text, err := json.Marshal(reportCA(state, ca, []trust.Status{{Store: "System", Location: "/etc", State: trust.Trusted}, {Store: "Firefox", Detail: "locked", Fix: "unlock"}}, now))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	addresses := got["signs_for"].(map[string]any)["ip"].([]any)
	if !slices.Contains(addresses, any("127.0.0.0/8")) {
		t.Errorf("addresses %v, want 127.0.0.0/8 among them", addresses)
	}
	root := ca.Root()
	want := map[string]any{
		"schema":      1.0,
		"subject":     root.Subject.String(),
		"fingerprint": fingerprint(root),
		"not_before":  root.NotBefore.Format(time.RFC3339),
		"not_after":   root.NotAfter.Format(time.RFC3339),
		"days_left":   float64(daysLeft(ca.Root().NotAfter, now)),
		"signs_for": map[string]any{
			"dns": []any{"localhost", "test", "internal", "local", "home.arpa", "shop.example.dev"},
			"ip":  addresses,
		},
		"certificate": issuer.RootPath(state),
		"key":         issuer.Path(state),
		"passphrase":  false,
		"stores": []any{
			map[string]any{"store": "System", "location": "/etc", "state": "trusted"},
			map[string]any{"store": "Firefox", "state": "unknown", "detail": "locked", "fix": "unlock"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestExpiryWarning(t *testing.T) {
	ca, _, err := issuer.LoadOrCreate(filepath.Join(t.TempDir(), "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	end := ca.Root().NotAfter
	for _, tt := range []struct {
		left time.Duration
		want string
	}{
		{91 * 24 * time.Hour, ""},
		{90 * 24 * time.Hour, ""},
		{90*24*time.Hour - time.Second, "the CA ends on " + end.Format(time.DateOnly) + ", in 89 days: replace it with devproxy ca rotate"},
		{25 * time.Hour, "the CA ends on " + end.Format(time.DateOnly) + ", in 1 day: replace it with devproxy ca rotate"},
	} {
		if got := testApp().expiryWarning(ca, end.Add(-tt.left)); got != tt.want {
			t.Errorf("%v before the end: got %q, want %q", tt.left, got, tt.want)
		}
	}
}
