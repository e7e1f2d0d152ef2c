package portholder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFindRealListener(t *testing.T) {
	for _, tt := range []struct{ listen, ask string }{
		{"127.0.0.1", "127.0.0.1"},
		{"127.0.0.1", "::ffff:127.0.0.1"},
		{"127.0.0.1", "0.0.0.0"},
		{"127.0.0.1", "::"}, // which would take IPv4 too
		{"0.0.0.0", "127.0.0.1"},
		{"::1", "::1"},
		{"::1", "::"},
		{"::", "::1"},
		{"::", "127.0.0.1"}, // dual stack
	} {
		network := "tcp4"
		if strings.Contains(tt.listen, ":") {
			network = "tcp" // tcp6 would exclude IPv4
		}
		ln, err := net.Listen(network, net.JoinHostPort(tt.listen, "0"))
		if err != nil {
			if tt.listen != "127.0.0.1" && tt.listen != "0.0.0.0" {
				t.Logf("skipped %s: %v", tt.listen, err)
				continue
			}
			t.Fatal(err)
		}
		port := uint16(ln.Addr().(*net.TCPAddr).Port)
		addr := netip.AddrPortFrom(netip.MustParseAddr(tt.ask), port)
		h, err := Find(addr)
		if err != nil || h.PID != os.Getpid() || h.UID != os.Getuid() || h.Command == "" {
			t.Errorf("listening on %s: Find(%s) = %+v, %v; want pid %d", tt.listen, addr, h, err, os.Getpid())
		}
		ln.Close()
		if h, err := Find(addr); !errors.Is(err, ErrNotFound) {
			t.Errorf("after Close: Find(%s) = %+v, %v; want ErrNotFound", addr, h, err)
		}
	}
}

// A connection uses the port as well, but does not hold it.
func TestFindIgnoresConnections(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	addr := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	if h, err := Find(addr); !errors.Is(err, ErrNotFound) {
		t.Errorf("Find(%s) = %+v, %v; want ErrNotFound", addr, h, err)
	}
}

func TestRank(t *testing.T) {
	for _, tt := range []struct {
		have, want string
		rank       int
	}{
		{"127.0.0.1:443", "127.0.0.1:443", 1},
		{"0.0.0.0:443", "127.0.0.1:443", 2},
		{"[::]:443", "[::1]:443", 2},
		{"127.0.0.1:443", "0.0.0.0:443", 3},
		{"[::]:443", "127.0.0.1:443", 4},
		{"127.0.0.1:443", "[::]:443", 5},
		{"[::]:443", "[::]:443", 1},
		{"127.0.0.2:443", "127.0.0.1:443", 0},
		{"0.0.0.0:443", "[::1]:443", 0},
		{"[::1]:443", "127.0.0.1:443", 0},
		{"127.0.0.1:444", "127.0.0.1:443", 0},
	} {
		if got := rank(netip.MustParseAddrPort(tt.have), netip.MustParseAddrPort(tt.want)); got != tt.rank {
			t.Errorf("rank(%s, %s) = %d, want %d", tt.have, tt.want, got, tt.rank)
		}
	}
}

// A fakeProc is a /proc of a test's own making.
type fakeProc struct {
	t    *testing.T
	root string
}

func newFakeProc(t *testing.T) fakeProc {
	p := fakeProc{t, t.TempDir()}
	p.write("net/tcp", header)
	p.write("net/tcp6", header)
	p.write("sys/kernel/x", "") // not a process
	return p
}

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func (p fakeProc) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p fakeProc) socket(addr string, state string, uid, inode int) {
	p.t.Helper()
	a := netip.MustParseAddrPort(addr)
	name := "net/tcp"
	if a.Addr().Is6() {
		name = "net/tcp6"
	}
	p.write(name, line(a, state, uid, uint64(inode)))
}

// line formats a socket as the kernel does.
func line(a netip.AddrPort, state string, uid int, inode uint64) string {
	local := ""
	raw := a.Addr().AsSlice()
	for word := range slices.Chunk(raw, 4) {
		local += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(word))
	}
	remote := strings.Repeat("0", 2*len(raw)) + ":0000"
	return fmt.Sprintf("%4d: %s:%04X %s %s 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 0000000000000000 100 0 0 10 0\n",
		0, local, a.Port(), remote, state, uid, inode)
}

func (p fakeProc) process(pid int, comm, cmdline string, inodes ...int) {
	p.t.Helper()
	dir := strconv.Itoa(pid)
	p.write(dir+"/comm", comm+"\n")
	p.write(dir+"/cmdline", strings.ReplaceAll(cmdline, " ", "\x00")+"\x00")
	p.write(dir+"/fd/0", "")
	for i, inode := range inodes {
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(p.root, dir, "fd", strconv.Itoa(i+3))); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestFindInFakeProc(t *testing.T) {
	p := newFakeProc(t)
	p.socket("0.0.0.0:80", stateListen, 0, 100)
	p.process(9, "nginx", "nginx: master process /usr/sbin/nginx", 100)
	p.process(8, "other", "other", 101)
	p.process(10, "nginx", "nginx: worker process", 100)

	p.socket("[::]:443", stateListen, 33, 200)
	p.process(20, "apache2", "/usr/sbin/apache2 -k start", 200)
	p.socket("127.0.0.1:443", stateListen, 1000, 201)
	p.process(21, "python3", "/usr/bin/python3 /home/ann/shop/app.py --token=secret", 7, 201)

	p.socket("127.0.0.1:5000", stateListen, 0, 300)     // nobody we can see
	p.socket("127.0.0.1:5001", stateListen, 4242424, 0) // without a name
	p.socket("127.0.0.1:6000", "01", 1000, 201)         // a connection
	p.socket("127.0.0.1:7000", stateListen, 0, 400)     // shared by two,
	p.socket("127.0.0.1:7000", stateListen, 1000, 401)  // of whom one shows
	p.process(30, "quiet", "", 401)

	for _, tt := range []struct{ addr, want string }{
		{"127.0.0.1:80", "nginx (pid 9)"},
		{"127.0.0.1:443", "python3 app.py (pid 21)"},
		{"127.0.0.2:443", "apache2 (pid 20)"},
		{"[::1]:443", "apache2 (pid 20)"},
		{"127.0.0.1:5000", "a process of user root"},
		{"127.0.0.1:5001", "a process of user 4242424"},
		{"127.0.0.1:6000", "no listener found"},
		{"[::1]:80", "no listener found"},
		{"127.0.0.1:7000", "quiet (pid 30)"},
	} {
		h, err := findUnder(p.root, netip.MustParseAddrPort(tt.addr))
		got := h.String()
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.addr, got, tt.want)
		}
	}
}

func TestFindWithoutFiles(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:443")
	if _, err := findUnder(t.TempDir(), addr); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no /proc: %v, want fs.ErrNotExist", err)
	}
	p := newFakeProc(t)
	p.socket("127.0.0.1:443", stateListen, 0, 1)
	if err := os.Remove(filepath.Join(p.root, "net/tcp6")); err != nil {
		t.Fatal(err)
	}
	if h, err := findUnder(p.root, addr); err != nil {
		t.Errorf("no IPv6: %v, %v", h, err)
	}
}

func TestDescribe(t *testing.T) {
	for _, tt := range []struct{ comm, cmdline, want string }{
		{"nginx", "nginx: master process /usr/sbin/nginx", "nginx"},
		{"python3", "/usr/bin/python3 app.py", "python3 app.py"},
		{"python3.11", "/usr/bin/python3.11 /srv/app.py", "python3.11 app.py"},
		{"MainThread", "/usr/bin/node /srv/web/server.js --key=x", "node server.js"},
		{"python3", "python3 -m http.server 443", "python3 -m http.server"},
		{"java", "/usr/bin/java -jar /opt/app.jar", "java -jar app.jar"},
		{"java", "/usr/bin/java -Dsecret=1 Main", "java"},
		{"python3", "python3", "python3"},
		{"docker-proxy", "/usr/bin/docker-proxy -proto tcp", "docker-proxy"},
		{"kworker", "", "kworker"},
		{"", "", ""},
		{"evil\x1b[31m\n", "evil", "evil[31m"},
		{strings.Repeat("ü", 100), "", strings.Repeat("ü", 60) + "…"},
	} {
		if got := describe(tt.comm, strings.Split(tt.cmdline, " ")); got != tt.want {
			t.Errorf("describe(%q, %q) = %q, want %q", tt.comm, tt.cmdline, got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:443")
	good := line(addr, stateListen, 1000, 77)
	want := []socket{{addr: addr, uid: 1000, inode: 77}}
	for name, text := range map[string]string{
		"one":           header + good,
		"without end":   header + strings.TrimSuffix(good, "\n"),
		"a connection":  header + line(addr, "01", 1000, 78) + good,
		"short line":    "  1: 0100007F:01BB 0\n" + good,
		"bad address":   strings.Replace(good, ":01BB", ":1FFFF", 1) + good,
		"short address": "   0: 00007F:01BB" + good[len("   0: 0100007F:01BB"):] + good,
		"bad inode":     strings.Replace(good, " 77 ", " -1 ", 1) + good,
		"bad uid":       strings.Replace(good, " 1000 ", " 99999999999 ", 1) + good,
	} {
		if got := parse(text); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	mapped := line(netip.MustParseAddrPort("[::ffff:127.0.0.1]:443"), stateListen, 1000, 77)
	if got := parse(mapped); !slices.Equal(got, want) {
		t.Errorf("mapped: %v, want %v", got, want)
	}
}

// parse survives anything, and reads back what the kernel would write.
func FuzzParse(f *testing.F) {
	f.Add(header, []byte{127, 0, 0, 1}, uint16(443), uint32(1000), uint64(77))
	f.Add("  1: 0100007F:01BB 0\n", make([]byte, 16), uint16(0), uint32(0), uint64(1))
	f.Fuzz(func(t *testing.T, noise string, raw []byte, port uint16, uid uint32, inode uint64) {
		for _, s := range parse(noise) {
			if !s.addr.IsValid() || s.addr.Addr().Is4In6() {
				t.Fatalf("parse(%q) gives the address %v", noise, s.addr)
			}
		}
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		text := line(netip.AddrPortFrom(addr, port), stateListen, int(uid), inode)
		want := socket{addr: netip.AddrPortFrom(addr.Unmap(), port), uid: int(uid), inode: inode}
		if got := parse(text); !slices.Equal(got, []socket{want}) {
			t.Fatalf("parse(%q) = %v, want %v", text, got, want)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	for b.Loop() {
		if _, err := Find(addr); err != nil {
			b.Fatal(err)
		}
	}
}
