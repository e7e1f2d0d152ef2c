package e2e

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// newAuthority makes a root that has nothing to do with devproxy.
func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	return selfSigned(t, x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

func selfSigned(t *testing.T, template x509.Certificate) authority {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// brokenHost is where the broken servers are.
const brokenHost = "shop.example"

// broken are servers whose certificates clients refuse, by doctor's word for
// the reason. The machine trusts known.
var broken = []struct {
	kind  string
	chain func(t *testing.T, known, unknown authority) tls.Certificate
}{
	{"expired", func(t *testing.T, known, _ authority) tls.Certificate {
		return known.sign(t, dated(-48*time.Hour, -24*time.Hour)).with()
	}},
	{"not-yet-valid", func(t *testing.T, known, _ authority) tls.Certificate {
		return known.sign(t, dated(24*time.Hour, 48*time.Hour)).with()
	}},
	{"wrong-host", func(t *testing.T, known, _ authority) tls.Certificate {
		return known.sign(t, named("elsewhere.example")).with()
	}},
	{"unknown-issuer", func(t *testing.T, _, unknown authority) tls.Certificate {
		return unknown.sign(t, named(brokenHost)).with()
	}},
	{"self-signed-in-chain", func(t *testing.T, _, unknown authority) tls.Certificate {
		return unknown.sign(t, named(brokenHost)).with(unknown.cert)
	}},
	{"self-signed", func(t *testing.T, _, _ authority) tls.Certificate {
		return selfSigned(t, named(brokenHost)).with()
	}},
	{"", func(t *testing.T, known, _ authority) tls.Certificate { // the control
		return known.sign(t, named(brokenHost)).with()
	}},
}

func dated(from, to time.Duration) x509.Certificate {
	template := named(brokenHost)
	template.NotBefore, template.NotAfter = time.Now().Add(from), time.Now().Add(to)
	return template
}

// TestDoctorExplains compares what doctor says about a broken server with what
// clients themselves print about it.
func TestDoctorExplains(t *testing.T) {
	h := newHome(t)
	known, unknown := newAuthority(t, "known"), newAuthority(t, "unknown")
	const anchor = "/usr/local/share/ca-certificates/known.crt"
	if err := os.WriteFile(anchor, []byte(pemOf(known.cert.Raw)), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		links, _ := filepath.Glob("/etc/ssl/certs/*.0")
		for _, link := range append(links, anchor, "/etc/ssl/certs/known.pem") {
			if target, _ := os.Readlink(link); target == "known.pem" || strings.Contains(link, "known") {
				os.Remove(link)
			}
		}
		settle(t)
	})
	settle(t)
	addHosts(t, "127.0.0.1", brokenHost)

	for _, tt := range broken {
		t.Run(cmp.Or(tt.kind, "good"), func(t *testing.T) {
			s := openShop(t, brokenHost, tt.chain(t, known, unknown))
			got := h.devproxy(t, "doctor", "--json", s.url)
			var said struct {
				Checks []struct {
					Check, Subject, State string
					Names                 map[string]string
				}
			}
			if err := json.Unmarshal([]byte(got.stdout), &said); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			names, found := map[string]string{}, false
			for _, c := range said.Checks {
				if c.Check == "verify" && (c.Subject == tt.kind || tt.kind == "" && c.State == "ok") {
					names, found = c.Names, true
				}
			}
			if want := map[bool]int{true: 0, false: 1}[tt.kind == ""]; got.code != want || !found {
				t.Fatalf("want exit code %d and the word %q\n%s", want, tt.kind, got)
			}

			openssl := h.run(t, tool(t, "openssl"), "s_client", "-connect", strings.TrimSuffix(strings.TrimPrefix(s.url, "https://"), "/"),
				"-servername", brokenHost, "-verify_hostname", brokenHost, "-brief")
			if match := regexp.MustCompile(`verify error:num=(\d+):(.*)`).FindStringSubmatch(openssl.stdout + openssl.stderr); match == nil {
				wantName(t, "OpenSSL", names["OpenSSL"], "")
			} else if want := "(" + match[1] + "): " + match[2]; !strings.HasSuffix(names["OpenSSL"], want) {
				t.Errorf("doctor says that OpenSSL says %q, which says %q", names["OpenSSL"], match[0])
			}
			curl := h.run(t, tool(t, "curl"), "--silent", "--show-error", s.url)
			if _, reason, ok := strings.Cut(curl.stderr, "SSL certificate problem: "); ok {
				reason, _, _ = strings.Cut(reason, "\n")
				if !strings.HasSuffix(names["OpenSSL"], ": "+reason) {
					t.Errorf("doctor says that OpenSSL says %q, curl says %q", names["OpenSSL"], reason)
				}
			} else if (curl.code == 0) != (names["OpenSSL"] == "") {
				t.Errorf("doctor says that OpenSSL says %q, curl: %s", names["OpenSSL"], curl)
			}
			program := h.run(t, python(t), "-c", `import sys, urllib.request
try: urllib.request.urlopen(sys.argv[1])
except OSError as e:
    r = e.reason
    print(type(r).__module__ + "." + type(r).__qualname__ + ": " + str(r).rpartition(" (_ssl.c")[0])`, s.url).must(t, 0)
			wantName(t, "Python", names["Python"], strings.TrimSpace(program.stdout))
		})
	}
}

// wantName compares what doctor says that a client says with what it says.
func wantName(t *testing.T, client, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("doctor says that %s says %q, which says %q", client, got, want)
	}
}
