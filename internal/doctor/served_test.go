package doctor

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestServed(t *testing.T) {
	ours, old, corporate := newTestCA(t, "devproxy"), newTestCA(t, "devproxy"), newTestCA(t, "corporate")
	now := time.Now()
	leaf := func(ca *testCA, host string) *x509.Certificate {
		return ca.leaf(host, now.Add(-time.Hour), now.Add(time.Hour))
	}
	for _, tt := range []struct {
		name   string
		chain  []*x509.Certificate
		state  State
		detail string // part
	}{
		{"as it should be", []*x509.Certificate{leaf(ours, "a.localhost"), ours.intermediate}, OK, "root not sent"},
		{"nothing", nil, Fail, "no certificate"},
		{"another host", []*x509.Certificate{leaf(ours, "b.localhost"), ours.intermediate}, Fail, "b.localhost"},
		{"outside the constraints", []*x509.Certificate{leaf(ours, "a.example"), ours.intermediate}, Fail, "a.example"},
		{"expired", []*x509.Certificate{ours.leaf("a.localhost", now.Add(-2*time.Hour), now.Add(-time.Hour)), ours.intermediate}, Fail, "expired"},
		{"not yet", []*x509.Certificate{ours.leaf("a.localhost", now.Add(time.Hour), now.Add(2*time.Hour)), ours.intermediate}, Fail, "not valid before"},
		{"an old CA's", []*x509.Certificate{leaf(old, "a.localhost"), old.intermediate}, Fail, "another CA of devproxy"},
		{"not ours", []*x509.Certificate{leaf(corporate, "a.localhost"), corporate.intermediate}, Fail, "not signed by devproxy"},
		{"no intermediate", []*x509.Certificate{leaf(ours, "a.localhost")}, Fail, "no intermediate"},
		{"root sent", []*x509.Certificate{leaf(ours, "a.localhost"), ours.intermediate, ours.root}, Warn, "root is sent"},
	} {
		got := Served(tt.chain, "a.localhost", ours.root, now, "restart")
		if got.State != tt.state || !strings.Contains(got.Detail, tt.detail) {
			t.Errorf("%s: got %+v, want %s, …%s…", tt.name, got, tt.state, tt.detail)
		}
		if got.State != OK && len(tt.chain) > 0 && got.Fix == "" {
			t.Errorf("%s: no way out", tt.name)
		}
	}
	long := newTestCA(t, strings.Repeat("ü", 9_000))
	for _, host := range []string{"a.localhost", strings.Repeat("a.", 9_000) + "localhost"} {
		got := Served([]*x509.Certificate{leaf(long, host), long.intermediate}, "a.localhost", ours.root, now, "restart")
		if n := len(got.Detail); got.State != Fail || n > 1_000 || !strings.Contains(got.Detail, "…") {
			t.Errorf("a stranger's long names: got %s with %d bytes, want %s with few", got.State, n, Fail)
		}
	}
	if !Made([]*x509.Certificate{leaf(old, "a.localhost")}) || Made([]*x509.Certificate{leaf(corporate, "a.localhost")}) || Made(nil) {
		t.Error("Made does not tell devproxy's certificates from others")
	}
}
