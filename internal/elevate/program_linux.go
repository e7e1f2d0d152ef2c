package elevate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Relays says that a process can be kept closed to the others of its user, and
// so be given a way to root.
const Relays = true

// Program returns a copy of this program that users other than root may run
// but not read. Linux keeps a process that runs such a program closed to the
// other processes of its user from the first moment on (execve(2), and
// PR_SET_DUMPABLE in prctl(2)); what it does for itself comes too late: it may
// be stopped before that, and its descriptors taken (pidfd_getfd(2)).
//
// The file is to be inherited, and run by the name that it has in
// /proc/self/fd. Nothing can be read from or written to it.
func Program() (*os.File, error) {
	if err := closedByDefault(); err != nil {
		return nil, err
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("read this program: %v", err)
	}
	defer self.Close()
	fd, err := createExecutable("devproxy")
	if err != nil {
		return nil, fmt.Errorf("make a program in memory: %v", err)
	}
	mem := os.NewFile(uintptr(fd), "program")
	defer mem.Close()
	if _, err := io.Copy(mem, self); err != nil {
		return nil, fmt.Errorf("copy this program: %v", err)
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if err := mem.Chmod(0o711); err != nil {
		return nil, fmt.Errorf("protect the copy of this program: %v", err)
	}
	if _, err := unix.FcntlInt(mem.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal the copy of this program: %v", err)
	}
	path, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", mem.Fd()), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("find the copy of this program: %v", err)
	}
	return os.NewFile(uintptr(path), "program"), nil
}

// createExecutable opens an empty file in memory that may be run.
func createExecutable(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all of them may be
		fd, err = unix.MemfdCreate(name, flags)
	}
	if errors.Is(err, unix.EACCES) {
		return -1, fmt.Errorf("%v: vm.memfd_noexec forbids it", err)
	}
	return fd, err
}

// closedByDefault makes sure that programs which may not be read are not open
// to tracing all the same.
func closedByDefault() error {
	const setting = "/proc/sys/fs/suid_dumpable"
	value, err := os.ReadFile(setting)
	if err != nil {
		return fmt.Errorf("read how the system protects programs: %v", err)
	}
	if strings.TrimSpace(string(value)) == "1" {
		return errors.New("fs.suid_dumpable is 1, which lets any process trace root's programs")
	}
	return nil
}
