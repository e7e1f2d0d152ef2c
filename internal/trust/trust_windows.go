package trust

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// systemKinds are the stores of a Windows machine.
var systemKinds = []kind{
	{name: kindWindows, find: findWindows, reopen: reopenWindows},
	{name: kindJDK, find: findJDKs, reopen: reopenJDK},
}

func (m *Machine) windowsHere() (*windowsRoot, error) {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return nil, err
	}
	return &windowsRoot{
		name:     "System",
		certutil: filepath.Join(dir, "certutil.exe"),
		run:      logged(m.log, inSession(helperTimeout)),
		ask:      logged(m.log, inSession(askTimeout)),
		path:     func(_ context.Context, file string) (string, error) { return file, nil },
	}, nil
}

func findWindows(m *Machine, _ anchor) ([]store, []Status) {
	w, err := m.windowsHere()
	if err != nil {
		return nil, []Status{{Store: "System", Detail: err.Error(), Fix: "import the root certificate with certmgr.msc"}}
	}
	return []store{w}, nil
}

func reopenWindows(m *Machine, r receipt) store {
	if w, err := m.windowsHere(); err == nil && w.certutil == r.Location {
		return w
	}
	return nil
}
