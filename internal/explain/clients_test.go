package explain

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// requireTool skips the test without the program, or fails it in CI.
func requireTool(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// A visit is what a real client needs to meet a situation.
type visit struct {
	Name string
	Host string
	Port string
	CA   string // a file; "" if nothing is trusted

	causes []Cause
}

// visits starts a server for each situation.
func visits(t *testing.T) []visit {
	t.Helper()
	dir := t.TempDir()
	var all []visit
	for i, tt := range situations {
		s := tt.build(t)
		_, port, err := net.SplitHostPort(serve(t, &tls.Config{Certificates: []tls.Certificate{s.certificate()}}))
		if err != nil {
			t.Fatal(err)
		}
		v := visit{Name: tt.name, Host: s.name(), Port: port, causes: explained(s.chain(), s.name(), s.pool(), good)}
		var bundle bytes.Buffer
		for _, root := range s.roots {
			if err := pem.Encode(&bundle, &pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw}); err != nil {
				t.Fatal(err)
			}
		}
		if bundle.Len() > 0 {
			v.CA = filepath.Join(dir, fmt.Sprintf("%d.pem", i))
			if err := os.WriteFile(v.CA, bundle.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, v)
	}
	return all
}

// check compares what a client says, "" if it accepts, with our names for it.
func (v visit) check(t *testing.T, said string, called func(Cause) string) {
	t.Helper()
	var want []string
	for _, c := range v.causes {
		if n := called(c); n != "" {
			want = append(want, n)
		}
	}
	if said == "" {
		if len(want) > 0 {
			t.Errorf("accepted, want %q", want)
		}
		return
	}
	for _, n := range want {
		if strings.Contains(n, said) {
			return
		}
	}
	t.Errorf("got %q, want one of %q", said, want)
}

func TestOpenSSLSaysSo(t *testing.T) {
	openssl := requireTool(t, "openssl")
	result := regexp.MustCompile(`Verify return code: (\d+) \((.*)\)`)
	for _, v := range visits(t) {
		t.Run(v.Name, func(t *testing.T) {
			args := []string{"s_client", "-connect", "127.0.0.1:" + v.Port, "-verify_return_error", "-no-CApath", "-no-CAstore"}
			if v.CA != "" {
				args = append(args, "-CAfile", v.CA)
			} else {
				args = append(args, "-no-CAfile")
			}
			if net.ParseIP(v.Host) != nil {
				args = append(args, "-noservername", "-verify_ip", v.Host)
			} else {
				args = append(args, "-servername", v.Host, "-verify_hostname", v.Host)
			}
			out, _ := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput() // its status says no more than the text
			found := result.FindSubmatch(out)
			if found == nil {
				t.Fatalf("openssl said:\n%s", out)
			}
			said := ""
			if code := string(found[1]); code != "0" {
				said = "(" + code + "): " + string(found[2])
			}
			v.check(t, said, func(c Cause) string { return c.OpenSSL })
		})
	}
}

// visiting connects to what it is given on its input, with the defaults of
// Python before 3.13, which made them stricter.
const visiting = `
import json, socket, ssl, sys
said = []
for v in json.load(sys.stdin):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if v["CA"]:
        context.load_verify_locations(v["CA"])
    try:
        with socket.create_connection(("127.0.0.1", int(v["Port"])), 20) as raw:
            with context.wrap_socket(raw, server_hostname=v["Host"]):
                said.append("")
    except Exception as e:
        said.append(type(e).__module__ + "." + type(e).__name__ + ": " + e.args[-1])
json.dump(said, sys.stdout)
`

func TestPythonSaysSo(t *testing.T) {
	python := "/usr/bin/python3" // with the system's OpenSSL
	if _, err := os.Stat(python); err != nil {
		python = requireTool(t, "python3")
	}
	all := visits(t)
	in, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", visiting)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	if err := json.Unmarshal(out, &said); err != nil || len(said) != len(all) {
		t.Fatalf("%d answers for %d visits: %v", len(said), len(all), err)
	}
	place := regexp.MustCompile(` \(_ssl\.c:\d+\)$`)
	for i, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			message := place.ReplaceAllString(said[i], "")
			for _, c := range v.causes {
				// Where one of two may come, the words before them are the same.
				if head, tail, ok := strings.Cut(c.Python, ", or "); ok {
					if message == head || strings.HasSuffix(message, ": "+tail) {
						return
					}
				}
			}
			v.check(t, message, func(c Cause) string { return c.Python })
		})
	}
}
