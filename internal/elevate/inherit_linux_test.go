package elevate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	if flags, err := unix.FcntlInt(uintptr(packets[0]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("afterwards: flags %#x, %v; want it open, and closed on exec", flags, err)
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
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	client, err := Adopt(fd)
	if err == nil {
		client.Close()
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read from the other end: %v, want EOF: the descriptor is still open", err)
	}
	if got := errText(err); !strings.Contains(got, "its other end is user ") {
		t.Errorf("Adopt = %q, want that it is not root's", got)
	}
}

func TestProgram(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	program, err := Program()
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(program.Fd()), &st); err != nil || st.Uid != 0 || st.Mode&0o7777 != 0o711 {
		t.Errorf("owner %d, mode %#o, %v; want root's, 0711", st.Uid, st.Mode, err)
	}
	if _, err := program.Read(make([]byte, 1)); !errors.Is(err, unix.EBADF) {
		t.Errorf("read: %v, want EBADF", err)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v, want EPERM even for root", err)
	}
	if err := again.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncate: %v, want EPERM even for root", err)
	}
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, own) {
		t.Errorf("holds %d bytes, %v; want this program's %d", len(got), err, len(own))
	}
}
