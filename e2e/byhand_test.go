package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// issuedNames are in the certificate of TestIssuedServers; the first is in no
// other place, the second under a wildcard.
var issuedNames = []string{"byhand.localhost", "v1.byhand.localhost"}

// issuedServers do TLS themselves, with the files of cert issue.
var issuedServers = []struct {
	name string
	args func(t *testing.T, port, cert, key string) []string
}{
	{"python ssl", func(t *testing.T, port, cert, key string) []string {
		return []string{python(t), appFile(t, "tls_server.py"), port, cert, key}
	}},
	{"flask", func(t *testing.T, port, cert, key string) []string {
		return []string{python(t, "flask"), "-c", `import sys
from flask import Flask
app = Flask("byhand")
app.route("/")(lambda: "` + secret + `")
app.run(port=int(sys.argv[1]), ssl_context=(sys.argv[2], sys.argv[3]))`, port, cert, key}
	}},
	{"uwsgi", func(t *testing.T, port, cert, key string) []string {
		python(t, "flask")
		app := must(filepath.Abs(example(t, "flask/app.py")))
		return []string{tool(t, "uwsgi"), "--plugins", "http,python3", "--https", "127.0.0.1:" + port + "," + cert + "," + key,
			"--wsgi-file", app, "--master", "--die-on-term"}
	}},
	{"node", func(t *testing.T, port, cert, key string) []string {
		return []string{tool(t, "node"), appFile(t, "tls_server.js"), port, cert, key}
	}},
}

// TestIssuedServers serves what cert issue makes, by servers that people use,
// to clients that trust nothing but the root.
func TestIssuedServers(t *testing.T) {
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	h.devproxy(t, "cert", "issue", issuedNames[0], "*."+issuedNames[0]).must(t, 0)
	h.devproxy(t, "cert", "issue", "127.0.0.1").must(t, 0)
	addHosts(t, "127.0.0.1", append([]string{"other.localhost"}, issuedNames...)...)
	cert, key := filepath.Join(h.work, issuedNames[0]+".pem"), filepath.Join(h.work, issuedNames[0]+"-key.pem")

	for _, server := range issuedServers {
		t.Run(server.name, func(t *testing.T) {
			port := freePort(t)
			startApp(t, "127.0.0.1:"+port, nil, server.args(t, port, cert, key)...)
			for _, c := range clients {
				t.Run(c.name, func(t *testing.T) {
					names := issuedNames
					if server.name != "node" { // one is enough for what the clients compare
						names = names[:1]
					}
					for _, host := range names {
						url := "https://" + net.JoinHostPort(host, port) + "/"
						mustServe(t, c.fetch(t, h, url, h.rootFile()))
					}
					if server.name != "node" {
						return
					}
					url := "https://" + net.JoinHostPort("other.localhost", port) + "/"
					if got := c.fetch(t, h, url, h.rootFile()); got.code == 0 || strings.Contains(got.stdout, secret) {
						t.Errorf("accepts a name that is not in the certificate: %s", got)
					}
				})
			}
		})
	}
	t.Run("address", func(t *testing.T) {
		port := freePort(t)
		startApp(t, "127.0.0.1:"+port, nil, issuedServers[0].args(t, port,
			filepath.Join(h.work, "127.0.0.1.pem"), filepath.Join(h.work, "127.0.0.1-key.pem"))...)
		for _, c := range clients {
			if c.name == "openssl" {
				continue // its -verify_hostname takes names only
			}
			t.Run(c.name, func(t *testing.T) {
				mustServe(t, c.fetch(t, h, "https://127.0.0.1:"+port+"/", h.rootFile()))
			})
		}
	})
}

// mustServe fails the test unless a client, which sends nothing before it has
// verified the server, got the secret. Its exit status does not tell: Python's
// servers end connections without close_notify, which openssl minds.
func mustServe(t *testing.T, got result) {
	t.Helper()
	if !strings.Contains(got.stdout, secret) {
		t.Errorf("want %q: %s", secret, got)
	}
}

// TestIssuedFiles has other programs open what cert issue makes.
func TestIssuedFiles(t *testing.T) {
	const password = "open nuts"
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	h.put(t, filepath.Join(h.work, "password"), password+"\n", 0o600)
	h.devproxy(t, "cert", "issue", "byhand.localhost", "--p12", "--password-file", "password").must(t, 0)
	h.devproxy(t, "cert", "issue", "--client", "alice@example.com", "--p12", "--password-file", "password").must(t, 0)

	for base, purpose := range map[string]string{"byhand.localhost": "sslserver", "alice@example.com": "sslclient"} {
		t.Run(base, func(t *testing.T) {
			openssl := func(args ...string) string {
				t.Helper()
				return h.run(t, tool(t, "openssl"), args...).must(t, 0).stdout
			}
			openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", h.rootFile(), "-untrusted", base+".pem", base+".pem")
			inKey := openssl("pkey", "-in", base+"-key.pem", "-pubout")
			if inCert := openssl("x509", "-in", base+".pem", "-noout", "-pubkey"); inCert != inKey {
				t.Errorf("the key is not that of the certificate:\n%s%s", inKey, inCert)
			}
			all := openssl("pkcs12", "-in", base+".p12", "-passin", "file:password", "-noenc")
			if n := strings.Count(all, "BEGIN CERTIFICATE"); n != 2 || !strings.Contains(all, "BEGIN PRIVATE KEY") {
				t.Errorf("openssl finds %d certificates in PKCS#12, want 2 and a key:\n%s", n, all)
			}
			if got := h.run(t, tool(t, "openssl"), "pkcs12", "-in", base+".p12", "-passin", "pass:nuts", "-noenc"); got.code == 0 {
				t.Error("PKCS#12 opens with a wrong password")
			}
			listed := h.run(t, tool(t, "keytool"), "-J-Xshare:auto", "-J-XX:TieredStopAtLevel=1",
				"-list", "-v", "-storetype", "PKCS12", "-keystore", base+".p12", "-storepass", password).must(t, 0).stdout
			for _, want := range []string{"PrivateKeyEntry", "Certificate chain length: 2"} {
				if !strings.Contains(listed, want) {
					t.Errorf("keytool does not say %q:\n%s", want, listed)
				}
			}
			for _, ext := range []string{".p12", "-key.pem"} {
				info, err := os.Stat(filepath.Join(h.work, base+ext))
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v; want mode 0600", base+ext, info, err)
				}
			}
		})
	}
}

// TestSignedRequest has openssl ask for a certificate, with keys of all kinds,
// and a server present what came of it.
func TestSignedRequest(t *testing.T) {
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	addHosts(t, "127.0.0.1", "asked.localhost")
	for _, tt := range []struct {
		name string
		form string
		key  []string
	}{
		{"P-256", "PEM", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}},
		{"RSA", "DER", []string{"-newkey", "rsa:2048"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			csr, key, cert := tt.name+".csr", tt.name+"-key.pem", tt.name+".pem"
			h.run(t, tool(t, "openssl"), slices.Concat([]string{"req", "-new", "-noenc", "-subj", "/CN=asked.localhost",
				"-addext", "subjectAltName=DNS:asked.localhost", "-addext", "basicConstraints=critical,CA:TRUE",
				"-outform", tt.form, "-keyout", key, "-out", csr}, tt.key)...).must(t, 0)
			h.devproxy(t, "cert", "sign", csr).must(t, 0)
			h.run(t, tool(t, "openssl"), "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", h.rootFile(), "-untrusted", cert, cert).must(t, 0)
			if text := h.run(t, tool(t, "openssl"), "x509", "-in", cert, "-noout", "-text").must(t, 0).stdout; strings.Contains(text, "CA:TRUE") {
				t.Errorf("it may sign others:\n%s", text)
			}
			port := freePort(t)
			startApp(t, "127.0.0.1:"+port, nil, python(t), appFile(t, "tls_server.py"), port, filepath.Join(h.work, cert), filepath.Join(h.work, key))
			for _, c := range clients {
				t.Run(c.name, func(t *testing.T) {
					mustServe(t, c.fetch(t, h, "https://asked.localhost:"+port+"/", h.rootFile()))
				})
			}
		})
	}
}

// A member is a client that may present a certificate: two files, or none.
type member struct {
	name string
	argv func(t *testing.T, url, root string, files []string) []string
}

var members = []member{
	{"curl", func(t *testing.T, url, root string, files []string) []string {
		args := []string{tool(t, "curl"), "--silent", "--show-error", "--max-time", "20", "--cacert", root}
		if files != nil {
			args = append(args, "--cert", files[0], "--key", files[1])
		}
		return append(args, url)
	}},
	{"requests", func(t *testing.T, url, root string, files []string) []string {
		return append([]string{python(t, "requests"), "-c", `import sys, requests
url, root, *files = sys.argv[1:]
print(requests.get(url, verify=root, cert=tuple(files) or None, timeout=20).text)`, url, root}, files...)
	}},
	{"python", func(t *testing.T, url, root string, files []string) []string {
		return append([]string{python(t), "-c", `import ssl, sys, urllib.request
url, root, *files = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
if files:
    context.load_cert_chain(*files)
print(urllib.request.urlopen(url, context=context, timeout=20).read().decode())`, url, root}, files...)
	}},
	{"node", func(t *testing.T, url, root string, files []string) []string {
		return append([]string{tool(t, "node"), "-e", `const fs = require("fs");
const [url, root, cert, key] = process.argv.slice(1);
const options = { ca: fs.readFileSync(root) };
if (cert) Object.assign(options, { cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
require("https").get(url, options, r => r.pipe(process.stdout)).on("error", e => { console.error(e.code); process.exit(1) });`, url, root}, files...)
	}},
}

// TestIssuedClients presents certificates of cert issue --client to servers in
// Python and Node that ask for one, and revokes one.
func TestIssuedClients(t *testing.T) {
	h := newHome(t)
	h.devproxy(t, "ca", "rotate").must(t, 0)
	h.devproxy(t, "cert", "issue", "byhand.localhost").must(t, 0)
	files := make(map[string][]string)
	for _, name := range []string{"alice", "bob"} {
		h.devproxy(t, "cert", "issue", "--client", name).must(t, 0)
		files[name] = []string{name + ".pem", name + "-key.pem"}
	}
	other := newHome(t)
	other.devproxy(t, "ca", "rotate").must(t, 0)
	other.devproxy(t, "cert", "issue", "--client", "alice").must(t, 0)
	files["another CA's alice"] = []string{filepath.Join(other.work, "alice.pem"), filepath.Join(other.work, "alice-key.pem")}
	files["a server's"] = []string{"byhand.localhost.pem", "byhand.localhost-key.pem"}
	files["none"] = nil
	addHosts(t, "127.0.0.1", "byhand.localhost")
	server := []string{filepath.Join(h.work, "byhand.localhost.pem"), filepath.Join(h.work, "byhand.localhost-key.pem")}

	h.revoke(t, "bob")
	list := filepath.Join(h.work, "revoked.pem")
	h.devproxy(t, "cert", "crl", "--crl-file", list).must(t, 0)

	for _, tt := range []struct {
		name    string
		argv    []string
		clients []string // files of the server, by which it knows them
		bob     bool     // comes in
		members []member
	}{
		{"python ssl", []string{python(t), appFile(t, "tls_server.py")}, []string{h.rootFile(), list}, false, members},
		// With a list Node wants one of the root, too, and so refuses everyone.
		{"node", []string{tool(t, "node"), appFile(t, "tls_server.js")}, []string{h.rootFile()}, true, members[:1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			startApp(t, "127.0.0.1:"+port, nil, slices.Concat(tt.argv, []string{port}, server, tt.clients)...)
			for _, m := range tt.members {
				t.Run(m.name, func(t *testing.T) {
					for who, presented := range files {
						words := m.argv(t, "https://byhand.localhost:"+port+"/", h.rootFile(), presented)
						got := h.run(t, words[0], words[1:]...)
						in := got.code == 0 && strings.Contains(got.stdout, secret+" for "+who)
						if in != (who == "alice" || who == "bob" && tt.bob) {
							t.Errorf("the certificate of %s: %s", who, got)
						}
					}
				})
			}
		})
	}
}
