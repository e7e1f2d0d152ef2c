package e2e

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// caFile returns where the home's CA is kept.
func (h *home) caFile() string { return filepath.Join(h.state(), "ca.pem") }

// readIf returns a file's content, nil if there is no such file.
func readIf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return data
}

// leftOvers returns the temporary files in the home's state folder, and makes
// them older than any that is still being written.
func (h *home) leftOvers(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.state(), ".devproxy-tmp-*"))
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	for _, path := range found {
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// startProgram starts devproxy without looking at its output.
func (h *home) startProgram(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Getenv(envBinary), args...)
	cmd.Dir, cmd.Env = h.work, h.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: h.user}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// A moment ends when a process shall die.
type moment func(t *testing.T, h *home, before map[string]uint64)

// anyTime is a random moment within a span.
func anyTime(span time.Duration) moment {
	return func(*testing.T, *home, map[string]uint64) { time.Sleep(rand.N(span)) }
}

// atChange is when a new file appears in the state folder, and a little later:
// few random moments meet the microseconds in which files are written.
func atChange(t *testing.T, h *home, before map[string]uint64) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for name, inode := range inodes(h.state()) {
			if before[name] != inode {
				time.Sleep(rand.N(1500 * time.Microsecond))
				return
			}
		}
	}
	t.Errorf("nothing was written within %v", patience)
}

func entries(dir string) map[string]bool {
	names := make(map[string]bool)
	list, _ := os.ReadDir(dir) // none before the folder is made
	for _, e := range list {
		names[e.Name()] = true
	}
	return names
}

// inodes returns the number of each file in a folder: a name may stand for
// another file before anyone has seen the temporary one.
func inodes(dir string) map[string]uint64 {
	numbers := make(map[string]uint64)
	for name := range entries(dir) {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			numbers[name] = info.Sys().(*syscall.Stat_t).Ino
		}
	}
	return numbers
}

// kill starts devproxy and ends it with kill -9 at a moment.
func (h *home) kill(t *testing.T, when moment, args ...string) {
	t.Helper()
	before := inodes(h.state())
	cmd := h.startProgram(t, args...)
	when(t, h, before)
	cmd.Process.Kill()
	cmd.Wait()
}

// consistent starts devproxy, which must work with the CA that is there, or
// with one it makes. It returns the content of ca.pem.
func (h *home) consistent(t *testing.T, want []byte) []byte {
	t.Helper()
	s := start(t, h, "")
	s.get(t, s.client(t), "hello.localhost", "/") // with the pool of root.pem
	s.cmd.Process.Kill()
	<-s.exited
	ca := readIf(t, h.caFile())
	if want != nil && !bytes.Equal(ca, want) {
		t.Error("the next start replaced the CA that was in place")
	}
	root, _ := pem.Decode(ca)
	if root == nil {
		t.Fatalf("%s holds no PEM:\n%s", h.caFile(), ca)
	}
	if got := readIf(t, h.rootFile()); !bytes.Equal(got, pem.EncodeToMemory(root)) {
		t.Errorf("root.pem is not the root of ca.pem:\n%s", got)
	}
	if left := h.leftOvers(t); len(left) > 0 {
		t.Errorf("old temporary files were not removed: %q", left)
	}
	return ca
}

// TestKilledWhileCreating kills devproxy while it makes its first CA.
func TestKilledWhileCreating(t *testing.T) {
	const config = head + `routes."hello.localhost" = "builtin:hello"`
	began := time.Now()
	s := start(t, newHome(t), config)
	whole := time.Since(began) // bounds the random moments
	s.stop(t)

	var nothing, half, done int
	for n := range rounds(20, 200) {
		h := newHome(t)
		h.write(t, "devproxy.toml", config)
		when := anyTime(whole)
		if n%2 == 0 {
			when = atChange
		}
		h.kill(t, when, "serve")
		ca, left := readIf(t, h.caFile()), h.leftOvers(t)
		switch {
		case len(left) > 0 || ca != nil && readIf(t, h.rootFile()) == nil:
			half++
		case ca == nil:
			nothing++
		default:
			done++
		}
		first := h.consistent(t, ca)
		h.consistent(t, first)
	}
	t.Logf("killed before anything was written %d times, in between %d, after it %d", nothing, half, done)
}

// TestKilledWhileRotating kills "ca rotate": the old CA is in place, or the
// new one is.
func TestKilledWhileRotating(t *testing.T) {
	h := newHome(t)
	h.write(t, "devproxy.toml", head+`routes."hello.localhost" = "builtin:hello"`)
	began := time.Now()
	h.devproxy(t, "ca", "rotate").must(t, 0)
	whole := time.Since(began)

	var kept, half, done int
	ca := h.consistent(t, nil)
	for n := range rounds(20, 200) {
		when := anyTime(whole)
		if n%2 == 0 {
			when = atChange
		}
		h.kill(t, when, "ca", "rotate")
		now, root := readIf(t, h.caFile()), readIf(t, h.rootFile())
		left := h.leftOvers(t)
		switch {
		case len(left) > 0 || !bytes.HasPrefix(now, root):
			half++
		case bytes.Equal(now, ca):
			kept++
		default:
			done++
		}
		h.devproxy(t, "ca", "show").must(t, 0)
		ca = h.consistent(t, now)
	}
	if strayed, _ := filepath.Glob(h.caFile() + ".bad-*"); len(strayed) > 0 {
		t.Errorf("a good CA was put aside: %q", strayed)
	}
	t.Logf("killed before the new CA was in place %d times, in between %d, after it %d", kept, half, done)
}

// servedRoot makes a handshake with a server, which must verify against the
// published root, and returns the fingerprint of that root.
func servedRoot(t *testing.T, s *server) [sha256.Size]byte {
	t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), &tls.Config{RootCAs: s.home.pool(t), ServerName: "hello.localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	chain := conn.ConnectionState().VerifiedChains[0]
	return sha256.Sum256(chain[len(chain)-1].Raw)
}

// TestCreatingAtOnce starts several devproxys where there is no CA yet.
func TestCreatingAtOnce(t *testing.T) {
	for _, many := range []int{2, 8} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			for range rounds(3, 20) {
				h := newHome(t)
				h.write(t, "devproxy.toml", head+`routes."hello.localhost" = "builtin:hello"`)
				servers := make([]*server, many)
				for n := range servers {
					servers[n] = launch(t, h)
				}
				created := 0
				for _, s := range servers {
					line := s.waitLog(t, "serving", nil)
					s.port = int(line["port"].(float64))
					s.waitOutput(t, "  root  ")
					s.waitOutput(t, "\n\n") // the end of the table
				}
				want := servedRoot(t, servers[0])
				for _, s := range servers {
					if got := servedRoot(t, s); got != want {
						t.Errorf("two servers have the roots %x and %x", got, want)
					}
					if strings.Contains(s.output(), "created now") {
						created++
					}
					s.cmd.Process.Kill()
					<-s.exited
				}
				if created != 1 {
					t.Errorf("%d of %d processes say that they created the CA, want 1", created, many)
				}
				if left := h.leftOvers(t); len(left) > 0 {
					t.Errorf("left over: %q", left)
				}
				h.consistent(t, readIf(t, h.caFile()))
			}
		})
	}
}

// TestRotateReachesServer replaces the CA under a running devproxy: new
// connections get the new chain, open ones live on.
func TestRotateReachesServer(t *testing.T) {
	backend := echo(t)
	h := newHome(t)
	s := start(t, h, routed(backend, "app.localhost"))
	oldPool := h.pool(t)

	// A client whose one connection stays, and a load that never stops.
	p := newProbe(t, s, oldPool, "app.localhost")
	if got := p.status(t); got != http.StatusOK {
		t.Fatalf("status %d, want 200", got)
	}
	const loaded = "CA loaded, leaves are minted anew"
	for range rounds(3, 30) {
		mark := s.mark()
		h.devproxy(t, "ca", "rotate").must(t, 0)
		s.waitLogAfter(t, mark, loaded, nil)
		s.get(t, s.client(t), "app.localhost", "/")
	}
	if got := p.status(t); got != http.StatusOK {
		t.Errorf("on a connection from before: status %d, want 200", got)
	}
	_, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), &tls.Config{RootCAs: oldPool, ServerName: "app.localhost"})
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("with the old root a handshake gives %v, want an unknown authority", err)
	}

	// Several at once: one of them is what all see in the end.
	mark := s.mark()
	cmds := make([]*exec.Cmd, 4)
	for n := range cmds {
		cmds[n] = h.startProgram(t, "ca", "rotate")
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("rotate: %v", err)
		}
	}
	block, _ := pem.Decode(readIf(t, h.caFile()))
	if got := readIf(t, h.rootFile()); !bytes.Equal(got, pem.EncodeToMemory(block)) {
		t.Errorf("root.pem is not the root of ca.pem:\n%s", got)
	}
	sum := strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(block.Bytes)), " ", ":")
	s.waitLogAfter(t, mark, loaded, func(l logLine) bool { return l["fingerprint"] == sum })
	s.get(t, s.client(t), "app.localhost", "/")
}
