package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// webSocket is one message after the other, to the app and back.
func webSocket() measurement {
	return measurement{
		name: "websocket", about: "WebSocket round trips", load: true,
		metrics: []metric{
			{"websocket.latency", "WebSocket, 64 bytes and back: median", "µs"},
			{"websocket.cpu", "WebSocket, 64 bytes and back: CPU", "µs"},
		},
		take: func(_ context.Context, b *bench, c *contender) (values, error) {
			conn, err := b.openSocket(c)
			if err != nil {
				return nil, err
			}
			defer conn.Close()
			var trips []float64
			used, err := spend(c, func() (err error) {
				trips, err = conn.roundTrips(b.scaled(6000))
				return err
			})
			if err != nil {
				return nil, err
			}
			return values{"websocket.latency": median(trips), "websocket.cpu": perRequest(used, len(trips))}, nil
		},
	}
}

// openSocket upgrades a connection.
func (b *bench) openSocket(c *contender) (*conn, error) {
	conn, err := b.dial(c, "app.localhost", nil)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(conn, "GET /live/socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	resp, err := http.ReadResponse(conn.reader, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("upgrade: %s", resp.Status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// roundTrips sends n messages and returns how long each took to come back, in
// µs.
func (c *conn) roundTrips(n int) ([]float64, error) {
	// A masked frame of 64 bytes of text (RFC 6455, section 5.2).
	frame := append([]byte{0x81, 0x80 | 64, 0, 0, 0, 0}, kibibyte()[:64]...)
	back := make([]byte, len(frame))
	trips := make([]float64, n)
	for i := range trips {
		began := time.Now()
		if _, err := c.Write(frame); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c.reader, back); err != nil {
			return nil, err
		}
		trips[i] = micros(time.Since(began))
	}
	return trips, nil
}
