//go:build unix

package trust

import (
	"os/exec"
	"syscall"
)

// detach puts cmd into a session of its own: certutil and keytool ask for
// passwords on the controlling terminal whatever their standard input is. The
// whole session ends with cmd's context.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
