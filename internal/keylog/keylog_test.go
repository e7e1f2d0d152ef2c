package keylog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

const (
	written    = "TLS secrets are written to a file"
	notWritten = "TLS secrets are not written to the file"
)

// line returns the nth of different lines.
func line(n int) string {
	return fmt.Sprintf("CLIENT_TRAFFIC_SECRET_0 %064x %096x\n", n, n)
}

// observed returns a key log and what it tells.
func observed(t *testing.T, path string) (*File, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	f := New(path, zap.New(core))
	t.Cleanup(f.Close)
	return f, logs
}

// put writes a line, which never fails.
func (f *File) put(t *testing.T, line string) {
	t.Helper()
	if n, err := f.Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("Write = %d, %v; want %d and no error", n, err, len(line))
	}
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

// mustSay checks the messages since the last call.
func mustSay(t *testing.T, logs *observer.ObservedLogs, want ...string) {
	t.Helper()
	var got []string
	for _, e := range logs.TakeAll() {
		got = append(got, e.Message)
		if e.Level != zapcore.WarnLevel {
			t.Errorf("%q has level %v, want warn", e.Message, e.Level)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log says %q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	f, logs := observed(t, path)
	mustSay(t, logs, written)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	f.put(t, line(1))
	f.put(t, line(2))
	mustHold(t, path, line(1)+line(2))

	again, _ := observed(t, path)
	again.put(t, line(3))
	f.put(t, line(4))
	mustHold(t, path, line(1)+line(2)+line(3)+line(4))

	f.Close()
	f.put(t, line(5))
	f.Close()
	mustHold(t, path, line(1)+line(2)+line(3)+line(4))
	mustSay(t, logs)
}

// What another writer left in the middle of a line does not swallow the next.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	before := line(1) + "CLIENT_TRAFFIC_SECRET_0 00"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := observed(t, path)
	f.put(t, line(2))
	f.put(t, line(3))
	mustHold(t, path, before+"\n"+line(2)+line(3))
	again, logs := observed(t, path)
	again.put(t, line(4))
	mustSay(t, logs, written)
	mustHold(t, path, before+"\n"+line(2)+line(3)+line(4))
}

// A log that is gone begins anew, one that is moved away is left alone, and one
// that is cut goes on.
func TestRotated(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "keys.log"), filepath.Join(dir, "old.log")
	f, logs := observed(t, path)
	f.put(t, line(1))
	if err := os.Rename(path, old); err != nil {
		t.Skip("a file that is open cannot be renamed here:", err)
	}
	f.put(t, line(2))
	mustHold(t, old, line(1))
	mustHold(t, path, line(2))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.put(t, line(3))
	mustHold(t, path, line(3))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	f.put(t, line(4))
	mustHold(t, path, line(4))
	mustSay(t, logs, written)
}

// Many handshakes at once, in two processes as it were, never mix lines.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.log")
	files := make([]*File, 2)
	for i := range files {
		files[i], _ = observed(t, path)
	}
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				files[i%2].Write([]byte(line(i*each + j)))
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for l := range strings.Lines(string(text)) {
		seen[l] = true
	}
	for i := range writers * each {
		if !seen[line(i)] {
			t.Fatalf("line %d of %d is not there", i, len(seen))
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d lines, want %d", len(seen), writers*each)
	}
}

// The log is reminded of once an hour, and of what fails once a minute.
func TestNotices(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "keys.log")
	synctest.Test(t, func(t *testing.T) {
		f, logs := observed(t, path)
		mustSay(t, logs, notWritten)
		f.put(t, line(1))
		time.Sleep(59 * time.Second)
		f.put(t, line(1))
		mustSay(t, logs)
		time.Sleep(time.Second)
		f.put(t, line(1))
		mustSay(t, logs, notWritten)

		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		f.put(t, line(1))
		mustSay(t, logs, written)
		time.Sleep(59 * time.Minute)
		f.put(t, line(2))
		mustSay(t, logs)
		time.Sleep(time.Minute)
		f.put(t, line(3))
		f.put(t, line(4))
		mustSay(t, logs, written)
	})
	mustHold(t, path, line(1)+line(2)+line(3)+line(4))
}

// TestHandshake has crypto/tls write the lines of a handshake, and none of one
// fails whose lines cannot be written.
func TestHandshake(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, path string
		version    uint16
		lines      int
	}{
		{"TLS 1.3", "13.log", tls.VersionTLS13, 4},
		{"TLS 1.2", "12.log", tls.VersionTLS12, 1},
		{"no folder", "missing/keys.log", tls.VersionTLS13, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, tt.path)
			f, _ := observed(t, path)
			handshake(t, &tls.Config{KeyLogWriter: f, MaxVersion: tt.version, Certificates: []tls.Certificate{certificate(t)}})
			text, err := os.ReadFile(path)
			if tt.lines == 0 {
				return
			}
			if err != nil || strings.Count(string(text), "\n") != tt.lines || !isKeyLog(text) {
				t.Errorf("the file holds %q, %v; want %d lines", text, err, tt.lines)
			}
		})
	}
}

// handshake connects a client with a server of this configuration.
func handshake(t *testing.T, server *tls.Config) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if err := conn.(*tls.Conn).Handshake(); err != nil {
			t.Error("server:", err)
		}
	})
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	defer client.Close()
	if err := client.Handshake(); err != nil {
		t.Error("client:", err)
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
