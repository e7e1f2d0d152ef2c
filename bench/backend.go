package main

import (
	"net"
	"strings"
	"time"
)

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
