package main

import (
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"

	"devproxy/internal/issuer"
)

// TestProof: only a client that takes our root for a trust anchor is one, not
// one that has the root of another CA or none.
func TestProof(t *testing.T) {
	ours, other := newTestCA(t), newTestCA(t)
	for _, tt := range []struct {
		name  string
		roots []*issuer.CA
		ok    bool
	}{
		{"ours", []*issuer.CA{ours}, true},
		{"ours among others", []*issuer.CA{other, ours}, true},
		{"another's", []*issuer.CA{other}, false},
		{"none", nil, false},
	} {
		pool := x509.NewCertPool()
		for _, ca := range tt.roots {
			pool.AddCert(ca.Root())
		}
		err := proof(ours)(t.Context(), pool)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, want accepted %v", tt.name, err, tt.ok)
		}
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !tt.ok && !unknown {
			t.Errorf("%s: %v, want an unknown authority", tt.name, err)
		}
	}
}

func newTestCA(t *testing.T) *issuer.CA {
	t.Helper()
	ca, _, err := issuer.LoadOrCreate(filepath.Join(t.TempDir(), "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}
