package elevate

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is a user that owns nothing.
const nobody = 65534

// What somebody may have put into the variable that names the connection.
func TestAdoptRefuses(t *testing.T) {
	fd := func(f *os.File, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return int(f.Fd())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	packets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(packets[0])
	defer unix.Close(packets[1])
	path := filepath.Join(t.TempDir(), "file")
	for name, n := range map[string]int{
		"none":             1 << 20,
		"negative":         -1,
		"a file":           fd(os.Create(path)),
		"TCP":              fd(listener.(*net.TCPListener).File()),
		"unix, but packet": packets[0],
	} {
		if client, err := Adopt(n); err == nil {
			client.Close()
			t.Errorf("%s: Adopt = nil, want an error", name)
		}
	}
	if err := unix.Access(path, unix.F_OK); err != nil {
		t.Error(err)
	}
}

// A connection that the person themself has made leads nowhere.
func TestAdoptRefusesOthers(t *testing.T) {
	if os.Geteuid() == 0 {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestAdoptRefusesOthers$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = "/"
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("as another user: %v\n%s", err, out)
		}
		return
	}
	conn, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer file.Close()
	client, err := Adopt(int(file.Fd()))
	if err == nil {
		client.Close()
	}
	if got := errText(err); !strings.Contains(got, "its other end is user ") {
		t.Errorf("Adopt = %q, want that it is not root's", got)
	}
}
