package clientenv

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// checkStore compares the certificates of a trust store with want.
func checkStore(t testing.TB, path string, want ...*x509.Certificate) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	certs, err := pkcs12.DecodeTrustStore(data, "")
	if err != nil {
		t.Error(err)
		return
	}
	byDER := func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) }
	slices.SortFunc(certs, byDER)
	want = slices.SortedFunc(slices.Values(want), byDER)
	if !slices.EqualFunc(certs, want, (*x509.Certificate).Equal) {
		t.Errorf("%s holds %d certificates, want %d, or others", path, len(certs), len(want))
	}
}

func TestJavaOptions(t *testing.T) {
	m := newMachine(t)
	store := filepath.Join(m.Dir, javaFile)
	ours := javaOption + store
	tests := []struct {
		name    string
		env     environment
		want    string // "" if it is not to be set
		warning string
	}{
		{"unset", environment{}, ours, ""},
		{"blank", environment{javaOptions: " "}, ours, ""},
		{"kept", environment{javaOptions: `-Xmx1g "-Da=b c"`}, `-Xmx1g "-Da=b c" ` + ours, ""},
		{"ours already", environment{javaOptions: "-Xmx1g " + ours + " -Da=b"}, "-Xmx1g " + ours + " -Da=b", ""},
		{"another store", environment{javaOptions: javaOption + "/corp.jks"}, "", "it names another trust store, /corp.jks"},
		{"another store, quoted", environment{javaOptions: `-Djavax.net.ssl.'trustStore=/my corp.jks'`}, "", "it names another trust store, /my corp.jks"},
		{"open quote", environment{javaOptions: `-Da="b`}, "", "a quote in it is not closed"},
		{"later variable", environment{"JDK_JAVA_OPTIONS": javaOption + "/corp.jks"}, ours, "JDK_JAVA_OPTIONS names another trust store, /corp.jks"},
		{"later variable, ours", environment{"_JAVA_OPTIONS": ours}, ours, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vars, warnings, err := m.Variables(Request{Env: tt.env.get, Java: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := (environment{}).with(vars)[javaOptions]; got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if text := strings.Join(warnings, "\n"); !strings.Contains(text, tt.warning) || tt.warning == "" && text != "" {
				t.Errorf("warnings %q, want %q", text, tt.warning)
			}
			checkStore(t, store, m.Root, m.system[0], m.system[1])
		})
	}
}

func FuzzQuoteJVM(f *testing.F) {
	for _, s := range []string{"", "a", "a b", `a"b`, `a'b`, `"'`, "\\ \t", "-Da='b \"c'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := quoteJVM("-D" + s)
		words, err := splitJVM("-Da=b " + quoted + " -Dc")
		if want := []string{"-Da=b", "-D" + s, "-Dc"}; err != nil || !slices.Equal(words, want) {
			t.Errorf("%q becomes %q: %q, %v", s, quoted, words, err)
		}
		_, _ = splitJVM(s)
	})
}

const javaProgram = `
import java.io.*;
import java.net.*;
import java.security.KeyStore;
import javax.net.ssl.*;

public class Get {
	public static void main(String[] args) throws Exception {
		TrustManagerFactory all = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		all.init((KeyStore) null);
		System.out.println("roots " + ((X509TrustManager) all.getTrustManagers()[0]).getAcceptedIssuers().length);
		for (String url : args) {
			try (InputStream in = new URL(url).openStream()) {
				System.out.println(new String(in.readAllBytes()));
			} catch (SSLHandshakeException e) {
				System.out.println("refused");
			}
		}
	}
}
`

// TestRealJava is the word of the JVM on all of it: the store is read without
// a password, every root of it counts, the path is quoted as it must be, and
// an unknown root is refused.
func TestRealJava(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a JVM")
	}
	java := requireTool(t, "java")
	m := newMachine(t)
	root, key := newAuthority(t, "ours")
	m.Dir = filepath.Join(m.Dir, `a "state" folder's`)
	if err := os.Mkdir(m.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m.useRoot(t, root)
	program := m.file(t, "Get.java", []byte(javaProgram))

	strangerRoot, strangerKey := newAuthority(t, "stranger")
	trusted := startServer(t, root, key)
	stranger := startServer(t, strangerRoot, strangerKey)
	env, _ := m.variables(t, environment{javaOptions: "-Xmx128m"}, true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, java, program, trusted, stranger)
	cmd.Env = append(os.Environ(), javaOptions+"="+env[javaOptions], "JDK_JAVA_OPTIONS=", "_JAVA_OPTIONS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	want := fmt.Sprintf("roots %d\nhello\nrefused\n", 1+len(m.system))
	if got := strings.ReplaceAll(string(out), "\r", ""); err != nil || got != want {
		t.Errorf("java with %s printed %q, want %q: %v\n%s", env[javaOptions], got, want, err, stderr.Bytes())
	}
}

// startServer serves https under a root and returns its URL.
func startServer(t testing.TB, root *x509.Certificate, key *ecdsa.PrivateKey) string {
	t.Helper()
	leaf, leafKey := newCertificate(t, &x509.Certificate{
		DNSNames:    []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, root, key)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients refuse on purpose
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	return "https://localhost:" + port
}
