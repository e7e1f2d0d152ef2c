package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// A process is a program that the harness started and will end.
type process struct {
	cmd    *exec.Cmd
	log    string // file of what it prints
	exited chan struct{}
}

// launch starts a program whose home and working folder is dir, with what it
// prints going to the file "log" there.
func launch(dir string, env []string, argv []string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append([]string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin", "LANG=C.UTF-8"}, env...)
	cmd.Stdout, cmd.Stderr = log, log
	// SIGTERM, on which nginx's master also ends its workers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	p.cmd.Wait()
	close(p.exited)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended says whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// stop ends the process and returns when it is gone. It may be gone already.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// fault is err with the end of what the process printed.
func (p *process) fault(err error) error {
	text, _ := os.ReadFile(p.log)
	text = text[max(0, len(text)-2000):]
	return fmt.Errorf("%s: %w\n%s", filepath.Base(p.cmd.Path), err, strings.TrimSpace(string(text)))
}

// family returns a process and all its descendants.
func family(pid int) ([]int, error) {
	all := []int{pid}
	tasks, err := os.ReadDir(procFile(pid, "task"))
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		children, err := os.ReadFile(procFile(pid, "task", task.Name(), "children"))
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		} else if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("children of process %d: %w", pid, err)
			}
			below, err := family(child)
			if err != nil {
				continue // it has ended
			}
			all = append(all, below...)
		}
	}
	return all, nil
}

func procFile(pid int, names ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(pid)}, names...)...)
}
