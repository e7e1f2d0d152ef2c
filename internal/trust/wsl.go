package trust

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// windowsFromWSL returns the store of the Windows on whose kernel this Linux
// runs, for its browsers are the ones that people use. It is nil, without a
// word, where there is no such Windows.
func (m *Machine) windowsFromWSL() (*windowsRoot, error) {
	interop, _ := filepath.Glob(m.at("/proc/sys/fs/binfmt_misc/WSLInterop*"))
	version, _ := readFile(m.at("/proc/version"))
	if len(interop) == 0 && !strings.Contains(strings.ToLower(string(version)), "microsoft") {
		return nil, nil
	}
	certutil := filepath.Join(m.at(m.windowsDrives()), "c/Windows/System32/certutil.exe")
	wslpath := ""
	for _, path := range []string{"/usr/bin/wslpath", "/bin/wslpath"} {
		if isExecutable(m.at(path)) {
			wslpath = m.at(path)
			break
		}
	}
	if !isFile(certutil) || wslpath == "" {
		if len(interop) == 0 {
			return nil, nil // a container, which has the kernel and nothing else
		}
		return nil, fmt.Errorf("%s and wslpath are not both there", certutil)
	}
	run := logged(m.log, inSession(helperTimeout))
	return &windowsRoot{
		name:     "Windows",
		certutil: certutil,
		run:      run,
		ask:      logged(m.log, inSession(askTimeout)),
		path: func(ctx context.Context, file string) (string, error) {
			r, err := run(ctx, wslpath, "-w", file)
			if err == nil && r.code != 0 {
				err = errors.New(firstLine(r.errs + "\n" + r.out))
			}
			if err != nil {
				return "", fmt.Errorf("wslpath: %v", err)
			}
			return strings.TrimSpace(r.out), nil
		},
	}, nil
}

// windowsDrives returns the folder in which WSL mounts the drives of Windows:
// /mnt, unless wsl.conf has another as root in its section automount.
func (m *Machine) windowsDrives() string {
	f, err := os.Open(m.at("/etc/wsl.conf"))
	if err != nil {
		return "/mnt"
	}
	defer f.Close()
	section := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.ToLower(strings.TrimSpace(strings.TrimSuffix(name, "]")))
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "automount" || strings.ToLower(strings.TrimSpace(key)) != "root" {
			continue
		}
		if dir := strings.Trim(strings.TrimSpace(value), `"'`); filepath.IsAbs(dir) {
			return filepath.Clean(dir)
		}
	}
	return "/mnt"
}

func findWSL(m *Machine, a anchor) ([]store, []Status) {
	w, err := m.windowsFromWSL()
	if err != nil {
		file := a.file
		if file == "" {
			file = "the root certificate"
		}
		return nil, []Status{{
			Store:  "Windows",
			Detail: fmt.Sprintf("Windows is out of reach: %v", err),
			Fix:    "import " + file + " in Windows: certutil -user -addstore Root FILE",
		}}
	}
	if w == nil {
		return nil, nil
	}
	return []store{w}, nil
}

// reopenWSL knows one place, whatever a receipt says.
func reopenWSL(m *Machine, r receipt) store {
	if w, err := m.windowsFromWSL(); err == nil && w != nil && w.certutil == r.Location {
		return w
	}
	return nil
}
