package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// anchor returns a self-signed certificate in PEM.
func anchor(t *testing.T, isCA bool) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: isCA, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// version1 is a self-signed certificate without extensions, of which Go makes
// none (openssl x509 -req -signkey, without extensions).
const version1 = `-----BEGIN CERTIFICATE-----
MIIBFzCBvwIURhYeyGWoHwwRJSr32GwZmIwyGEQwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMCAXDTI2MTEyMTA4MzY0NFoYDzIxMjYxMDI4MDgzNjQ0WjAOMQww
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATbD8KblJDF6AVI
vNSJJUGqo11G1yYBE+R00aehlSnwE3mur9R2p8CtKdUHEUdzlMLH8/dIuCFYzvSc
nOguPndtMAoGCCqGSM49BAMCA0cAMEQCICZqpH23uOCYpY63JYJn4VFpb2nVwR9g
cjC+hR+GyW7MAiBKCslwWgsj/hmFGL1GVZaEf7108SOKUENCfDJH/dv1uw==
-----END CERTIFICATE-----
`

func TestClientCA(t *testing.T) {
	ca, client := anchor(t, true), anchor(t, false)
	key := []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	block, _ := pem.Decode(ca)
	for name, test := range map[string]struct {
		content []byte
		certs   int
		want    string // in the mistake or the warning
	}{
		"one":               {ca, 1, ""},
		"no CA":             {client, 1, ""},
		"several":           {slices.Concat([]byte("text\n"), ca, client, ca), 2, ""},
		"with its key":      {slices.Concat(key, ca), 1, "holds a private key"},
		"version 1":         {[]byte(version1), 1, "is of version 1"},
		"key only":          {key, 0, "holds a private key but no certificate"},
		"empty":             {nil, 0, "there is no certificate in"},
		"text":              {[]byte("hello\n"), 0, "there is no certificate in"},
		"request":           {bytes.ReplaceAll(ca, []byte("CERTIFICATE"), []byte("CERTIFICATE REQUEST")), 0, `no certificate but "CERTIFICATE REQUEST"`},
		"DER":               {block.Bytes, 0, "is not in PEM"},
		"malformed":         {bytes.ReplaceAll(key, []byte("PRIVATE KEY"), []byte("CERTIFICATE")), 0, `certificate 1 in "ca.pem" is malformed`},
		"second is mangled": {slices.Concat(ca, bytes.ReplaceAll(key, []byte("PRIVATE KEY"), []byte("CERTIFICATE"))), 0, "certificate 2 in"},
		"large":             {bytes.Repeat([]byte("# text\n"), maxSize/7+1), 0, "is larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "ca.pem"), test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			text := "[routes.\"a.localhost\"]\nto = 1\nclient_auth = \"require\"\nclient_ca = \"ca.pem\"\n"
			c, err := parse(filepath.Join(dir, "devproxy.toml"), "devproxy.toml", []byte(text))
			if test.certs == 0 {
				errs := Errors(err)
				if len(errs) != 1 || errs[0].Line != 4 || !strings.Contains(errs[0].Error(), test.want) {
					t.Fatalf("got %v, want one mistake on line 4 with %q", err, test.want)
				}
				if strings.Contains(errs[0].Error(), "AAAA") {
					t.Errorf("the mistake quotes the file: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := c.Routes[0]
			if len(r.ClientAnchors) != test.certs || r.ClientCA != filepath.Join(dir, "ca.pem") || r.ClientAuth != "require" {
				t.Errorf("got %q, %q with %d certificates, want %d", r.ClientAuth, r.ClientCA, len(r.ClientAnchors), test.certs)
			}
			if got := messages(c.Warnings); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("warnings: got %q, want %q", got, test.want)
			}
		})
	}
}

// A route that does not say what another of its host says gets the same, also
// from the command line.
func TestClientsOfAHost(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), anchor(t, true), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(filepath.Join(dir, "devproxy.toml"), []byte(`[routes]
"a.localhost/before" = 1
"b.localhost" = 2
[routes."a.localhost"]
to = 3
client_auth = "require"
client_ca = "ca.pem"
[routes."*.c.localhost"]
to = 4
client_auth = "request"
`))
	if err != nil {
		t.Fatal(err)
	}
	var extra []Route
	for _, arg := range []string{"a.localhost/after=5", "a.localhost=6", "b.localhost=7", "x.c.localhost=8", "*.c.localhost/deep=9", "d.localhost=10"} {
		r, err := ParseRoute(arg, dir)
		if err != nil {
			t.Fatal(err)
		}
		extra = append(extra, r)
	}
	merged := c.WithRoutes(extra)
	want := map[string]string{
		"a.localhost/before": "require ca.pem 1", "a.localhost": "require ca.pem 1", "a.localhost/after": "require ca.pem 1",
		"b.localhost": "none . 0", "x.c.localhost": "none . 0", "d.localhost": "none . 0",
		"*.c.localhost": "request . 0", "*.c.localhost/deep": "request . 0",
	}
	if len(merged.Routes) != len(want) {
		t.Errorf("%d routes, want %d", len(merged.Routes), len(want))
	}
	for _, r := range merged.Routes {
		if got := fmt.Sprint(r.ClientAuth, " ", filepath.Base(r.ClientCA), " ", len(r.ClientAnchors)); got != want[r.Key()] {
			t.Errorf("%s: got %q, want %q", r.Key(), got, want[r.Key()])
		}
	}
	if got := messages(merged.Warnings); strings.Count(got, "asks for no client certificates") != 1 || !strings.Contains(got, `route "x.c.localhost"`) {
		t.Errorf("warnings: got %q, want one of x.c.localhost", got)
	}
}
