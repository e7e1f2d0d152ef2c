package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// downloadSize is how long bodies are that are downloaded and uploaded.
const downloadSize = 16 << 20

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// kibibyte is the body of a small response.
func kibibyte() string { return strings.Repeat("0123456789abcdef", 64) }

// startApp runs a backend and waits until it accepts connections.
func (b *bench) startApp(dir, address string, argv []string) error {
	app, err := launch(dir, nil, argv)
	if err != nil {
		return err
	}
	b.apps = append(b.apps, app)
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		if app.ended() || time.Since(began) > patience {
			return app.fault(err)
		}
	}
}

// startBackend runs nginx as the plain app.
func (b *bench) startBackend() error {
	dir, port, err := b.appFolder("backend")
	if err != nil {
		return err
	}
	b.backend = fmt.Sprintf("127.0.0.1:%d", port)
	file, err := os.Create(filepath.Join(dir, "download"))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(file, zeros{}, downloadSize); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	config, err := fill("backend.conf", settings{
		Dir: dir, Listen: b.backend, Threads: threads(), Superuser: os.Geteuid() == 0, Body: kibibyte(),
	})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, config, 0o644); err != nil {
		return err
	}
	return b.startApp(dir, b.backend, []string{b.programs.nginx, "-p", dir, "-c", path, "-e", "stderr"})
}

// startLive runs the app for uploads and upgrades.
func (b *bench) startLive() error {
	dir, port, err := b.appFolder("live")
	if err != nil {
		return err
	}
	b.live = fmt.Sprintf("127.0.0.1:%d", port)
	return b.startApp(dir, b.live, []string{b.programs.live, "-listen", b.live})
}

func (b *bench) appFolder(name string) (dir string, port int, err error) {
	dir = filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", 0, err
	}
	port, err = freePort()
	return dir, port, err
}
