package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
)

func TestFileNames(t *testing.T) {
	for _, tt := range []struct{ name, server, client string }{
		{"shop.localhost", "shop.localhost", "shop.localhost"},
		{"SHOP.Localhost.", "shop.localhost", "SHOP.Localhost."},
		{"*.shop.localhost", "_wildcard.shop.localhost", "_.shop.localhost"},
		{"bücher.localhost", "xn--bcher-kva.localhost", "b__cher.localhost"},
		{"127.0.0.1", "127.0.0.1", "127.0.0.1"},
		{"::1", "ip--1", "__1"},
		{"FD00::1", "ip-fd00--1", "FD00__1"},
		{"fe80::1%eth0/../x", "ip-fe80--1", "fe80__1_eth0_.._x"},
		{"alice@example.com", "alice@example.com", "alice@example.com"},
		{"Alice Example", "Alice_Example", "Alice_Example"},
		{"-rf", "_rf", "_rf"},
		{"../../etc/passwd", "__.._etc_passwd", "__.._etc_passwd"},
		{"..", "_", "_"},
		{"", "_", "_"},
		{"a\x00b\nc", "a_b_c", "a_b_c"},
		{`C:\x`, "C__x", "C__x"},
	} {
		if got := serverBase(tt.name); got != tt.server {
			t.Errorf("serverBase(%q) = %q, want %q", tt.name, got, tt.server)
		}
		if got := clientBase(tt.name); got != tt.client {
			t.Errorf("clientBase(%q) = %q, want %q", tt.name, got, tt.client)
		}
	}
}

// TestHandOutFails has files that cannot be put in place after all. What
// nobody has is not listed; what is there is, whatever else went wrong.
func TestHandOutFails(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	ca, _, err := issuer.LoadOrCreate(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what   string
		there  string // content of the first file
		force  bool
		listed int
		note   string
	}{
		{what: "no folder"},
		{what: "no folder, by force", force: true},
		{what: "another file is there", there: "another"},
		{what: "the first was replaced", there: "new", force: true, listed: 1, note: "is the new one already"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			issued, err := ca.Issue(issuer.Order{Client: "alice example", Life: 24 * time.Hour}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			first := filepath.Join(dir, "first")
			if tt.there != "" {
				if err := os.WriteFile(first, []byte(tt.there), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out := &certOutputs{force: tt.force}
			out.add("cert-file", first, "", "", privatePerm).data = []byte("new")
			out.add("key-file", filepath.Join(dir, "none", "second"), "", "", privatePerm).data = []byte("key")
			var stderr bytes.Buffer
			a := newApp([]string{"devproxy"}, func(string) string { return "" }, nil, io.Discard, &stderr)
			e := entryOf(issued.Certificate, true)
			if err := a.handOut(t.Context(), state, ca, e, out); err == nil {
				t.Fatal("no error")
			}
			if got, _ := os.ReadFile(first); string(got) != tt.there {
				t.Errorf("the first file holds %q, want %q", got, tt.there)
			}
			if !strings.Contains(stderr.String(), tt.note) || tt.note == "" && stderr.Len() > 0 {
				t.Errorf("said %q, want %q", stderr.String(), tt.note)
			}
			entries, err := ledger.Read(state)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != tt.listed {
				t.Errorf("%d certificates are listed, want %d", len(entries), tt.listed)
			}
		})
	}
}

// TestStateOfACertificate has what cert list says of each.
func TestStateOfACertificate(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		what, want string
		change     func(*ledger.Entry)
	}{
		{"in force", certValid, func(*ledger.Entry) {}},
		{"ends now", certExpired, func(e *ledger.Entry) { e.NotAfter = now }},
		{"revoked, then ended", certRevoked, func(e *ledger.Entry) { e.Revoked, e.NotAfter = now, now }},
		{"of another root", certOlderCA, func(e *ledger.Entry) { e.Root = "old" }},
		{"of another root, ended", certExpired, func(e *ledger.Entry) { e.Root, e.NotAfter = "old", now }},
	} {
		e := ledger.Entry{Root: "root", NotAfter: now.Add(time.Second)}
		tt.change(&e)
		if got := certState(e, "root", now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
}
