package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// rfc5280 returns the lints for what every certificate has to be. Those for
// public CAs demand what a local one must not have, such as logs.
func rfc5280(t *testing.T) lint.Registry {
	t.Helper()
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280}})
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

// complaints returns what lints find wrong with a certificate, and how many
// looked at it.
func complaints(t *testing.T, der []byte, registry lint.Registry) (found []string, ran int) {
	t.Helper()
	cert, err := zx509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range zlint.LintCertificateEx(cert, registry).Results {
		switch {
		case r.Status >= lint.Warn:
			found = append(found, fmt.Sprintf("%s: %s %s", r.Status, name, r.Details))
			ran++
		case r.Status != lint.NA && r.Status != lint.NE:
			ran++
		}
	}
	return found, ran
}

// TestLint has zlint and openssl look at every kind of certificate that
// devproxy makes.
func TestLint(t *testing.T) {
	h := newHome(t)
	s := start(t, h, head+`
ca.domains = ["shop.example.dev"]
[routes]
"app.localhost" = "builtin:hello"
"bücher.test" = "builtin:hello"
"shop.example.dev" = "builtin:hello"
`)
	certs := make(map[string][]byte)
	rest := readIf(t, h.caFile())
	for _, role := range []string{"root", "intermediate"} {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		certs[role] = block.Bytes
	}
	const address = "127.0.0.1"
	for _, host := range []string{"app.localhost", "xn--bcher-kva.test", "shop.example.dev", labels(253), address} {
		answer, err := greet(s.addr(), []byte(host))
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.chain) != 2 || !bytes.Equal(answer.chain[1].Raw, certs["intermediate"]) {
			t.Fatalf("%q: %v, want a leaf and the intermediate", host, answer)
		}
		certs[host] = answer.chain[0].Raw
	}

	registry := rfc5280(t)
	issued := issuedByHand(t, h)
	maps.Copy(issued, certs)
	for what, der := range issued {
		t.Run("zlint/"+what[:min(len(what), 30)], func(t *testing.T) {
			found, ran := complaints(t, der, registry)
			for _, f := range found {
				t.Error(f)
			}
			t.Logf("%d lints apply", ran)
			if ran < 30 {
				t.Errorf("only %d lints looked at it", ran)
			}
		})
	}

	openssl := tool(t, "openssl")
	intermediate := h.write(t, "intermediate.pem", pemOf(certs["intermediate"]))
	for host := range certs {
		if host == "root" || host == "intermediate" {
			continue
		}
		t.Run("openssl/"+host[:min(len(host), 30)], func(t *testing.T) {
			leaf := h.write(t, "leaf.pem", pemOf(certs[host]))
			verify := func(kind, host string) result {
				return h.run(t, openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-check_ss_sig",
					"-CAfile", h.rootFile(), "-untrusted", intermediate, "-verify_"+kind, host, leaf)
			}
			kind := "hostname"
			if host == address {
				kind = "ip"
			}
			verify(kind, host).must(t, 0)
			if got := verify("hostname", "other.localhost"); got.code == 0 {
				t.Errorf("verified for another host: %s", got)
			}
		})
	}
	t.Run("openssl/intermediate", func(t *testing.T) {
		h.run(t, openssl, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", h.rootFile(), intermediate).must(t, 0)
		h.run(t, openssl, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", h.rootFile(), h.rootFile()).must(t, 0)
	})
}

// issuedByHand returns a certificate of each kind that the cert commands make.
func issuedByHand(t *testing.T, h *home) map[string][]byte {
	t.Helper()
	openssl := tool(t, "openssl")
	h.run(t, openssl, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-out", "rsa.csr", "-subj", "/CN=rsa.localhost").must(t, 0)
	certs := make(map[string][]byte)
	for what, args := range map[string][]string{
		"issued for names":           {"issue", "app.localhost", "www.app.localhost", "*.app.localhost"},
		"issued for an address":      {"issue", "10.0.0.7"},
		"issued for a client":        {"issue", "--client", "Alice Liddell"},
		"issued for an e-mail":       {"issue", "--client", "alice@example.com"},
		"signed for an RSA key":      {"sign", "rsa.csr"},
		"signed for a client":        {"sign", "rsa.csr", "--client"},
		"self-signed for names":      {"self-signed", "app.localhost", "www.app.localhost"},
		"self-signed for an address": {"self-signed", "127.0.0.1"},
	} {
		file := filepath.Join(h.work, strings.ReplaceAll(what, " ", "-")+".pem")
		h.devproxy(t, append(append([]string{"cert"}, args...), "--cert-file", file)...).must(t, 0)
		block, _ := pem.Decode(readIf(t, file))
		if block == nil {
			t.Fatalf("%s: no PEM", what)
		}
		certs[what] = block.Bytes
	}
	return certs
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestLintFinds makes sure that the lints are there: a certificate with
// several faults has to be found out.
func TestLintFinds(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: new(big.Int).Lsh(big.NewInt(1), 200), // 26 octets
		NotBefore:    time.Now().Add(time.Hour),
		NotAfter:     time.Now().Add(2 * time.Hour),
		KeyUsage:     x509.KeyUsageCertSign, // without being a CA
		DNSNames:     []string{"a_b.localhost"},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	found, _ := complaints(t, der, rfc5280(t))
	if len(found) < 2 {
		t.Errorf("the lints complain of %q, want more", found)
	}
}
