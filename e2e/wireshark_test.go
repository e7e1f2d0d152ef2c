package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A docBlock is a fenced block of a document that is not only output.
type docBlock struct {
	block
	output string // what the block of text after it says
}

// docBlocks returns the blocks of a document under docs/.
func docBlocks(t *testing.T, name string) []docBlock {
	t.Helper()
	parsed, err := parseBlocks(string(must(os.ReadFile(filepath.Join("..", "docs", name)))))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []docBlock
	for _, b := range parsed {
		switch {
		case b.lang != "text":
			blocks = append(blocks, docBlock{block: b})
		case len(blocks) == 0 || blocks[len(blocks)-1].output != "":
			t.Fatalf("line %d: this output follows no command", b.line)
		default:
			blocks[len(blocks)-1].output = b.text
		}
	}
	return blocks
}

// What the document's client sends and gets.
var wiresharkSecrets = []string{"hunter2", "s3cr3t", "fluffy tail"}

// wiresharkPort is where the document's app listens.
const wiresharkPort = "5000"

// TestWireshark runs every command of docs/wireshark.md, in its order, and
// wants what it says they print.
func TestWireshark(t *testing.T) {
	tool(t, "tshark")
	tool(t, "curl")
	python3 := python(t, "flask")
	h := newHome(t, "SSLKEYLOGFILE=environment.log") // for curl
	h.env = append(h.env, "PATH="+filepath.Dir(os.Getenv(envBinary))+":/usr/local/bin:/usr/bin:/bin")
	var s *server
	var running *capture
	commands := 0
	for _, b := range docBlocks(t, "wireshark.md") {
		command := strings.TrimSpace(b.text)
		switch {
		case b.lang == "python":
			h.write(t, "app.py", b.text)
		case b.lang == "toml":
			h.write(t, "devproxy.toml", b.text)
			if s != nil {
				s.await(t, "key log", func() bool { return strings.Contains(s.stderr.String(), "TLS secrets are written to a file") })
			}
		case b.lang != "sh":
			t.Fatalf("nobody knows what to do with %s: %s", b.lang, b.text)
		case command == "python3 app.py":
			startApp(t, "127.0.0.1:"+wiresharkPort, nil, python3, filepath.Join(h.work, "app.py"))
		case command == "devproxy serve":
			s = launch(t, h)
			s.waitOutput(t, "https://shop.localhost ")
			s.port = 443
		case strings.HasPrefix(command, "tshark -i "):
			running = startCapture(t, h, command)
		default:
			if running != nil && strings.HasPrefix(command, "tshark -r ") {
				running.end(t)
				running.mustHide(t)
				running = nil
			}
			if strings.HasPrefix(command, "rm ") {
				wiresharkControls(t, h)
				wiresharkResumed(t, s)
			}
			if got := h.run(t, "sh", "-c", command).must(t, 0); got.stdout != b.output {
				t.Errorf("%s\nprints %q, want %q\n%s", command, got.stdout, b.output, got.stderr)
			}
		}
		if b.lang == "sh" {
			commands++
		}
	}
	if commands < 12 {
		t.Errorf("ran %d commands, want all", commands)
	}
}

// A capture is a running tshark.
type capture struct {
	home   *home
	cmd    *exec.Cmd
	file   string
	stderr bytes.Buffer // to be read when it has ended
}

// startCapture returns once packets are captured, which is later than tshark
// says so.
func startCapture(t *testing.T, h *home, command string) *capture {
	t.Helper()
	m := regexp.MustCompile(`-w (\S+)$`).FindStringSubmatch(command)
	if m == nil {
		t.Fatalf("%s writes no file", command)
	}
	c := &capture{home: h, cmd: h.command(t, "sh", "-c", "exec "+command), file: filepath.Join(h.work, m[1])}
	c.cmd.Stderr = &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.sees(t, "the beginning of a capture\n")
	return c
}

// end ends the capture once all that was sent before is in the file.
func (c *capture) end(t *testing.T) {
	t.Helper()
	c.sees(t, "the end of a capture\n")
	c.cmd.Process.Signal(syscall.SIGINT)
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("tshark: %v\n%s", err, c.stderr.String())
	}
}

// sees sends a line to the app's port, and again, until it is in the file. It is
// no request.
func (c *capture) sees(t *testing.T, line string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		conn := must(net.Dial("tcp", "127.0.0.1:"+wiresharkPort))
		must(conn.Write([]byte(line)))
		for again := time.Now().Add(time.Second); time.Now().Before(again); time.Sleep(10 * time.Millisecond) {
			if text, err := os.ReadFile(c.file); err == nil && bytes.Contains(text, []byte(line)) {
				conn.Close()
				return
			}
		}
		conn.Close()
	}
	c.cmd.Process.Kill()
	c.cmd.Wait()
	t.Fatalf("%s lacks %q after %v:\n%s", c.file, line, patience, c.stderr.String())
}

// mustHide looks for the secrets byte by byte: they are in the packets of both
// ports, the app's and that of TLS, and not in those of TLS alone.
func (c *capture) mustHide(t *testing.T) {
	t.Helper()
	side := filepath.Join(c.home.dir, "side.pcapng")
	c.home.run(t, tool(t, "tshark"), "-r", c.file, "-Y", "tcp.port == 443", "-w", side).must(t, 0)
	both, tls := must(os.ReadFile(c.file)), must(os.ReadFile(side))
	if len(tls) < 1000 {
		t.Errorf("%d bytes were captured at the TLS port", len(tls))
	}
	for _, secret := range wiresharkSecrets {
		if !bytes.Contains(both, []byte(secret)) || bytes.Contains(tls, []byte(secret)) {
			t.Errorf("%s: %q in all packets: %v, in those of TLS: %v; want true, false", filepath.Base(c.file), secret,
				bytes.Contains(both, []byte(secret)), bytes.Contains(tls, []byte(secret)))
		}
	}
}

// decrypted returns the passwords that tshark reads at the TLS port.
func decrypted(t *testing.T, h *home, file string, args ...string) []string {
	t.Helper()
	args = append([]string{"-r", file, "-Y", "tcp.port == 443 && (http || http2)", "-T", "fields", "-e", "urlencoded-form.value"}, args...)
	return strings.Fields(h.run(t, tool(t, "tshark"), args...).must(t, 0).stdout)
}

// wiresharkControls: it is the key log that makes the difference, and it opens
// nothing that was captured before it was on.
func wiresharkControls(t *testing.T, h *home) {
	const keys = "tls.keylog_file:keys.log"
	for _, tt := range []struct {
		file string
		args []string
		want []string
	}{
		{"logged.pcapng", nil, nil},
		{"capture.pcapng", []string{"-o", keys}, nil},
		{"logged.pcapng", []string{"-o", keys}, []string{"hunter2", "hunter2"}},
		{"capture.pcapng", []string{"-o", "tls.keylog_file:environment.log"}, []string{"hunter2"}},
	} {
		if got := decrypted(t, h, tt.file, tt.args...); !slices.Equal(got, tt.want) {
			t.Errorf("%s %q: tshark reads %q, want %q", tt.file, tt.args, got, tt.want)
		}
	}
	// Once for each time that curl ran: devproxy, which has the variable too, does
	// not obey it.
	if text := must(os.ReadFile(filepath.Join(h.work, "environment.log"))); bytes.Count(text, []byte("SERVER_TRAFFIC_SECRET_0 ")) != 3 {
		t.Errorf("the file of SSLKEYLOGFILE has other lines than curl's:\n%s", text)
	}
	if info := must(os.Stat(filepath.Join(h.work, "keys.log"))); info.Mode().Perm() != 0o600 {
		t.Errorf("the key log has mode %v, want 0600", info.Mode())
	}
}

// wiresharkResumed: connections that resume a session can be read, too.
func wiresharkResumed(t *testing.T, s *server) {
	h := s.home
	c := startCapture(t, h, "tshark -i lo -f 'tcp port 443 or tcp port "+wiresharkPort+"' -w resumed.pcapng")
	var want []string
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		config := &tls.Config{
			RootCAs: h.pool(t), ServerName: "shop.localhost", MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
		for i := range 3 {
			conn := must(tls.Dial("tcp", "127.0.0.1:443", config))
			// TLS 1.2 does not resume while the key log is on.
			if resumed := conn.ConnectionState().DidResume; resumed != (version == tls.VersionTLS13 && i > 0) {
				t.Errorf("%s: connection %d resumes: %v", tls.VersionName(version), i, resumed)
			}
			body := fmt.Sprintf("password=v%x-%d", version, i)
			want = append(want, strings.TrimPrefix(body, "password="))
			fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n"+
				"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if answer, err := io.ReadAll(conn); err != nil || !bytes.Contains(answer, []byte("fluffy tail")) {
				t.Errorf("answer %q, %v", answer, err)
			}
			conn.Close()
		}
	}
	c.end(t)
	if got := decrypted(t, h, c.file, "-o", "tls.keylog_file:keys.log"); !slices.Equal(got, want) {
		t.Errorf("tshark reads %q, want %q", got, want)
	}
}
