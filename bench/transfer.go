package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
)

// downloads are large answers, one after the other on one connection.
func downloads() measurement {
	return measurement{
		name: "download", about: "downloads of 16 MiB", load: true,
		metrics: []metric{
			{"download.h1", "16 MiB download, h1: CPU each", "ms"},
			{"download.h2", "16 MiB download, h2: CPU each", "ms"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			n := b.scaled(24)
			h1, err := spend(c, func() error { return b.downloadH1(c, n) })
			if err != nil {
				return nil, err
			}
			h2, err := spend(c, func() error {
				_, err := b.h2load(ctx, c, "-c", "1", "-m", "1", "-n", strconv.Itoa(n), "-w", "24", "-W", "24", c.url("/download"))
				return err
			})
			if err != nil {
				return nil, err
			}
			return values{"download.h1": millis(h1) / float64(n), "download.h2": millis(h2) / float64(n)}, nil
		},
	}
}

func (b *bench) downloadH1(c *contender, n int) error {
	conn, err := b.dial(c, "app.localhost", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range n {
		if err := conn.get("/download"); err != nil {
			return err
		}
	}
	return nil
}

// uploads are large requests, one after the other on one connection.
func uploads() measurement {
	return measurement{
		name: "upload", about: "uploads of 16 MiB", load: true,
		metrics: []metric{{"upload.h1", "16 MiB upload, h1: CPU each", "ms"}},
		take: func(_ context.Context, b *bench, c *contender) (values, error) {
			n := b.scaled(24)
			used, err := spend(c, func() error { return b.uploadH1(c, n) })
			if err != nil {
				return nil, err
			}
			return values{"upload.h1": millis(used) / float64(n)}, nil
		},
	}
}

func (b *bench) uploadH1(c *contender, n int) error {
	conn, err := b.dial(c, "app.localhost", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	piece := make([]byte, 256<<10)
	for range n {
		if _, err := fmt.Fprintf(conn, "POST /live/upload HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\n", downloadSize); err != nil {
			return err
		}
		body := io.LimitReader(zeros{}, downloadSize)
		if _, err := io.CopyBuffer(struct{ io.Writer }{conn}, body, piece); err != nil {
			return err
		}
		if err := conn.answer(); err != nil {
			return err
		}
	}
	return nil
}
