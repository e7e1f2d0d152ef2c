package e2e

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A badge is a client's certificate and key, in files.
type badge struct{ cert, key, fingerprint string }

func (b badge) curl() []string { return []string{"--cert", b.cert, "--key", b.key} }

// badge has a client's certificate signed.
func (a authority) badge(t *testing.T, h *home, name string, end time.Time) badge {
	t.Helper()
	client := a.sign(t, x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-24 * time.Hour), NotAfter: end,
	})
	key, err := x509.MarshalPKCS8PrivateKey(client.key)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(client.cert.Raw)
	b := badge{filepath.Join(h.work, name+".pem"), filepath.Join(h.work, name+"-key.pem"), hex.EncodeToString(hash[:])}
	h.put(t, b.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.cert.Raw})), 0o600)
	h.put(t, b.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), 0o600)
	return b
}

// TestClientCertificates: apps under WSGI, where X_Client_Cert_Subject and
// X-Client-Cert-Subject are one, are told of the certificate that was verified,
// whatever else their clients say.
func TestClientCertificates(t *testing.T) {
	for _, server := range []struct {
		name string
		args func(t *testing.T, port string) []string
	}{
		{"flask", func(t *testing.T, port string) []string {
			return []string{python(t, "flask"), appFile(t, "client_cert_app.py"), port}
		}},
		{"gunicorn", func(t *testing.T, port string) []string {
			return []string{tool(t, "gunicorn"), "--bind", "127.0.0.1:" + port, "client_cert_app:app"}
		}},
		{"uwsgi", func(t *testing.T, port string) []string {
			return []string{tool(t, "uwsgi"), "--http-socket", "127.0.0.1:" + port, "--plugin", "python3", "--module", "client_cert_app:app"}
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			python(t, "flask")
			port := freePort(t)
			startApp(t, "127.0.0.1:"+port, nil, server.args(t, port)...)
			h := newHome(t)
			s := start(t, h, head+strings.ReplaceAll(`
[routes]
"open.localhost" = PORT
"admin.localhost/beside" = PORT
[routes."admin.localhost"]
to = PORT
client_auth = "require"
[routes."guests.localhost"]
to = PORT
client_auth = "request"
`, "PORT", port), "shown.localhost/below="+port)
			alice := steal(t, h).authority().badge(t, h, "alice", time.Now().Add(time.Hour))
			late := steal(t, h).authority().badge(t, h, "late", time.Now().Add(-time.Hour))
			forged := []string{
				"--header", "X_Client_Cert_Subject: CN=root", "--header", "X-Client-Cert-Subject: CN=root", "--header", "x-client_cert.subject: CN=root",
				"--header", "X_Client_Cert_Fingerprint: 00", "--header", "Client_Cert: :AAAA:", "--header", "Client-Cert-Chain: :AAAA:",
			}
			known := map[string]any{
				"HTTP_X_CLIENT_CERT_SUBJECT": "CN=alice", "HTTP_X_CLIENT_CERT_FINGERPRINT": alice.fingerprint,
			}
			for _, p := range curlProtocols {
				admin := curler{s: s, host: "admin.localhost", proto: p.flag}
				guests := curler{s: s, host: "guests.localhost", proto: p.flag}
				open := curler{s: s, host: "open.localhost", proto: p.flag}

				for _, c := range []curler{admin, guests} {
					got := c.do(t, "/", append(alice.curl(), forged...)...).must(t, 200).json(t)
					told, _ := got["told"].(map[string]any)
					mustHold(t, told, known)
					if len(told) != 3 || got["digest"] != alice.fingerprint {
						t.Errorf("%s, %s: the app is told %v", c.host, p.name, got)
					}
				}
				for _, try := range []struct {
					c    curler
					args []string
				}{{guests, forged}, {guests, append(late.curl(), forged...)}, {open, forged}, {open, append(alice.curl(), forged...)}} {
					if got := try.c.do(t, "/", try.args...).must(t, 200).json(t); len(got["told"].(map[string]any)) != 0 {
						t.Errorf("%s, %s: the app is told %v", try.c.host, p.name, got)
					}
				}
				for _, path := range []string{"/", "/beside", "/nowhere"} {
					if got := admin.do(t, path, forged...).must(t, 403); !strings.Contains(got.body, "none was sent") || !strings.Contains(got.body, "cert issue --client NAME --p12") {
						t.Errorf("%s: %s", path, got)
					}
				}
				if got := admin.do(t, "/", late.curl()...).must(t, 403); !strings.Contains(got.body, "it has expired") {
					t.Errorf("expired: %s", got)
				}
				if got := open.do(t, "/", append(alice.curl(), "--header", "Host: admin.localhost")...); got.status != 421 {
					t.Errorf("a forged Host: %s", got)
				}
			}
		})
	}
}

// A visitor is client_cert_client.py.
type visitor struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// again returns the status that the next connection gets.
func (v *visitor) again(t *testing.T) string {
	t.Helper()
	if _, err := io.WriteString(v.in, "\n"); err != nil {
		t.Fatal(err)
	}
	if !v.out.Scan() {
		t.Fatal("the client has ended")
	}
	return v.out.Text()
}

// TestClientPolicyChanges: what the file says of client certificates holds for
// the next connection of Python's ssl, sessions or not, and so does another CA.
func TestClientPolicyChanges(t *testing.T) {
	for _, version := range []string{"TLSv1_2", "TLSv1_3"} {
		t.Run(version, func(t *testing.T) {
			h := newHome(t)
			const free = head + "[routes.\"app.localhost\"]\nto = \"builtin:hello\"\n"
			s := start(t, h, free)
			ours := steal(t, h).authority().badge(t, h, "ours", time.Now().Add(time.Hour))
			own := steal(t, h).authority().subordinate(t, pkix.Name{CommonName: "own"})
			theirs := own.badge(t, h, "theirs", time.Now().Add(time.Hour))
			h.put(t, filepath.Join(h.work, "own.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.cert.Raw})), 0o600)

			visit := func(b badge) *visitor {
				cmd := h.command(t, python(t), appFile(t, "client_cert_client.py"), "app.localhost", fmt.Sprint(s.port), h.rootFile(), version, b.cert, b.key)
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { in.Close(); cmd.Wait() })
				return &visitor{in, bufio.NewScanner(out)}
			}
			first, second := visit(ours), visit(theirs)
			step := func(what string, want ...string) {
				t.Helper()
				for i, v := range []*visitor{first, second} {
					if got := v.again(t); got != want[i] {
						t.Errorf("%s: visitor %d got %s, want %s", what, i, got, want[i])
					}
				}
			}
			step("free", "200", "200")
			step("free again", "200+", "200+")
			s.reload(t, free+"client_auth = \"require\"\n")
			step("ours required", "200", "403")
			step("ours required, again", "200+", "403")
			s.reload(t, free+"client_auth = \"require\"\nclient_ca = \"own.pem\"\n")
			step("theirs required", "403", "200")
			step("theirs required, again", "403", "200+")
			s.reload(t, free+"client_auth = \"require\"\n")
			step("ours again", "200", "403")
			h.devproxy(t, "ca", "rotate")
			s.waitLog(t, "CA loaded, leaves are minted anew", nil)
			if got := h.devproxy(t, "routes", "--json").must(t, 0); !strings.Contains(got.stdout, `"client_auth": "require"`) {
				t.Errorf("routes: %s", got)
			}
		})
	}
}
