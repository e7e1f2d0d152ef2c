package issuer

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// makeCA returns a CA for the usual constraints that lies nowhere on disk.
func makeCA(t testing.TB, domains ...string) *CA {
	t.Helper()
	ca, err := newCA(NewConstraints(domains), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// makeIssuer returns an Issuer that permits every name, and its log.
func makeIssuer(t testing.TB, ca *CA, permit func(string) error) (*Issuer, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	i, err := New(ca, Config{Permit: permit, Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	return i, logs
}

// issued returns how many certificates have been minted.
func issued(logs *observer.ObservedLogs) int {
	return logs.FilterMessage("certificate issued").Len()
}

// ask returns the leaf that i serves for name, outside a handshake.
func ask(t testing.TB, i *Issuer, name string) *x509.Certificate {
	t.Helper()
	cert, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil || cert == nil {
		t.Fatalf("GetCertificate(%q) = %v, %v; want a certificate", name, cert, err)
	}
	return cert.Leaf
}

func rootPool(ca *CA) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Root())
	return pool
}

// A server accepts TLS connections on loopback, and answers each with one byte.
type server struct {
	addr string
	ln   net.Listener
	wg   sync.WaitGroup

	mu     sync.Mutex
	served []*tls.Certificate // what GetCertificate returned, nil included
}

func serve(t testing.TB, network, addr string, i *Issuer) *server {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("listen on %s: %v", addr, err)
	}
	s := &server{addr: ln.Addr().String()}
	s.ln = tls.NewListener(ln, &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := i.GetCertificate(hello)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.served = append(s.served, cert)
			return cert, err
		},
		VerifyConnection: i.VerifyConnection,
	})
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		s.ln.Close()
		s.wg.Wait()
	})
	return s
}

func (s *server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			conn.Write([]byte{1}) // after the handshake; the error is the client's to see
		})
	}
}

// last returns what the server got from the Issuer most recently.
func (s *server) last(t *testing.T) *tls.Certificate {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.served) == 0 {
		t.Fatal("the Issuer was not asked")
	}
	return s.served[len(s.served)-1]
}

// dial does a handshake and reads the server's byte, with which session
// tickets arrive.
func (s *server) dial(cfg *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.addr, cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.ReadFull(conn, make([]byte, 1))
	return conn.ConnectionState(), err
}

// requireTool skips the test without the program name, or fails it in CI.
func requireTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing", name)
	}
	return path
}

// tempPrefix begins the names of atomicfile's temporary files.
const tempPrefix = ".devproxy-tmp-"

// stateFolder returns the path of a folder that does not exist yet.
func stateFolder(t testing.TB) string {
	return filepath.Join(t.TempDir(), "data", "devproxy")
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
