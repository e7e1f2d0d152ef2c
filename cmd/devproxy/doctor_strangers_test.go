package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"devproxy/internal/doctor"
)

// TestDoctorAsksNobodyElse: a file, which may be a stranger's, makes doctor ask
// no app on another machine.
func TestDoctorAsksNobodyElse(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.8.7": true, "::1": true, "::ffff:127.0.0.1": true,
		"198.51.100.7": false, "2001:db8::1": false, "intranet": false, "localhost.example": false, "a.localhost": false, "": false,
	} {
		if got := onThisMachine(host); got != want {
			t.Errorf("onThisMachine(%q) = %v, want %v", host, got, want)
		}
	}

	p := newPatient(t)
	var asked atomic.Int32
	p.backend.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	p.e.here = func(string) bool { return false }
	r, _ := p.examine()
	p.expect(r, "backend", "shop.localhost", doctor.OK, "takes connections", "")
	p.expect(r, "scheme", "shop.localhost", doctor.Unknown, "not asked: not on this machine", "doctor shop.localhost")
	if n := asked.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}

	p.e.seen, p.e.report = evidence{}, doctorReport{}
	r, _ = p.examine("shop.localhost")
	p.expect(r, "scheme", "shop.localhost", doctor.OK, "answers 200", "")
	if n := asked.Load(); n != 1 {
		t.Errorf("asked for by name: the app was asked %d times, want once", n)
	}
}

// TestDoctorOfStrangers shows what a server's certificate tries to say in rows
// of their own.
func TestDoctorOfStrangers(t *testing.T) {
	p := newPatient(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(name string, serial int64) []byte {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		}, &x509.Certificate{Subject: pkix.Name{CommonName: name}}, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	const name = "evil\n  ok  verify  localhost  verifies\x1b[2J\u202egnp.exe\u2066\u009b31m"
	for _, tt := range []struct {
		name  string
		chain func() [][]byte
		lines int // at the most
	}{
		{"a row of its own", func() [][]byte { return [][]byte{certificate(name, 1)} }, 20},
		{"a long name", func() [][]byte { return [][]byte{certificate(strings.Repeat("A", 50_000), 1)} }, 20},
		{"many certificates", func() [][]byte {
			var all [][]byte
			for i := range int64(30) {
				all = append(all, certificate(name, i+1))
			}
			return all
		}, 50},
		{"too many certificates", func() [][]byte { return slices.Repeat([][]byte{certificate(name, 1)}, 300) }, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := p.listen(&tls.Config{Certificates: []tls.Certificate{{Certificate: tt.chain(), PrivateKey: key}}})
			for _, asJSON := range []bool{false, true} {
				var out bytes.Buffer
				p.a.stdout, p.a.ui.out = &out, &out
				p.a.configFile = p.write("devproxy.toml", fmt.Sprintf(p.toml, p.at), 0o600)
				p.e.seen, p.e.report = evidence{}, doctorReport{}
				err := p.a.doctor(t.Context(), p.e, []string{"https://" + at.String()}, asJSON)
				if !errors.Is(err, errDoctorRed) {
					t.Errorf("got %v, want %v", err, errDoctorRed)
				}
				text := out.String()
				if strings.ContainsAny(text, "\x1b\u009b\u202e\u2066") || strings.Contains(text, "\n  ok  verify  localhost") {
					t.Errorf("forged: %q", text)
				}
				if n := strings.Count(text, "\n"); !asJSON && n > tt.lines {
					t.Errorf("%d lines, want %d at the most", n, tt.lines)
				}
				if len(text) > 50_000 {
					t.Errorf("%d bytes", len(text))
				}
				if strings.Contains(text, "30 certificates sent") != strings.Contains(text, "and 20 more") {
					t.Errorf("does not say how many are left out:\n%s", text)
				}
				if asJSON && tt.lines == 20 && tt.name == "a row of its own" {
					var r doctorReport
					if err := json.Unmarshal(out.Bytes(), &r); err != nil {
						t.Fatal(err)
					}
					p.expect(r, "connection", "certificate 0", doctor.OK, "\u202egnp.exe\u2066\u009b31m", "")
				}
			}
		})
	}
}

// TestDoctorEndsAtOnce: an interrupted doctor says nothing more.
func TestDoctorEndsAtOnce(t *testing.T) {
	p := newPatient(t)
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.a.configFile = p.write("devproxy.toml", fmt.Sprintf(p.toml, p.at), 0o600)
	if err := p.a.doctor(ctx, p.e, []string{server.URL}, true); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v, want %v", err, errInterrupted)
	}
}

func TestBound(t *testing.T) {
	long := strings.Repeat("ü", textRunes+1)
	v := doctor.Verdict{Detail: long, Fix: long}
	r := doctorReport{
		Checks:  []doctor.Check{{Subject: long, Verdict: v, Names: map[string]string{"Python": long}, Commands: []string{long}}},
		Clients: []doctor.Client{{Verdict: v}},
	}
	r.bound()
	c := r.Checks[0]
	for _, text := range []string{c.Subject, c.Detail, c.Fix, c.Names["Python"], r.Clients[0].Detail, r.Clients[0].Fix} {
		if text != long[:2*textRunes]+"…" {
			t.Errorf("got %d bytes, want %d runes and an ellipsis", len(text), textRunes)
		}
	}
	if c.Commands[0] != long {
		t.Error("a command was cut")
	}
}

// TestWriteJSON: what is escaped for the terminal is the same data.
func TestWriteJSON(t *testing.T) {
	in := map[string]string{"a": forged + "\U000e0100 <ü>"}
	in["a"] = strings.ToValidUTF8(in["a"], "")
	var out strings.Builder
	if err := writeJSON(&out, in); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back["a"] != in["a"] {
		t.Errorf("got %q, %v, want %q", back["a"], err, in["a"])
	}
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && visible(r) != r }) || !strings.Contains(out.String(), "<ü>") {
		t.Errorf("got %q", out.String())
	}
}
