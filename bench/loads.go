package main

import (
	"context"
	"fmt"
	"time"
)

// h1Load is 32 connections of HTTP/1.1 with as many requests as they can make.
func h1Load() measurement {
	return measurement{
		name: "h1", about: "HTTP/1.1, 32 connections", load: true,
		metrics: []metric{
			{"h1.cpu", "h1, 32 connections: CPU per request", "µs"},
			{"h1.rate", "h1, 32 connections: requests", "1/s"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			var report wrkResult
			used, err := spend(c, func() (err error) {
				report, err = b.wrk(ctx, c, 32, b.seconds)
				return err
			})
			if err != nil {
				return nil, err
			}
			return values{"h1.cpu": perRequest(used, report.requests), "h1.rate": report.rate}, nil
		},
	}
}

// h1Latency is one connection with one request after the other.
func h1Latency() measurement {
	return measurement{
		name: "h1-1", about: "HTTP/1.1, 1 connection", load: true,
		metrics: []metric{
			{"h1-1.latency", "h1, 1 connection: median", "µs"},
			{"h1-1.cpu", "h1, 1 connection: CPU per request", "µs"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			var report wrkResult
			used, err := spend(c, func() (err error) {
				report, err = b.wrk(ctx, c, 1, b.seconds*2/3)
				return err
			})
			if err != nil {
				return nil, err
			}
			return values{"h1-1.latency": micros(report.median), "h1-1.cpu": perRequest(used, report.requests)}, nil
		},
	}
}

// h2Load is 8 connections of HTTP/2 with 16 streams each.
func h2Load() measurement {
	return measurement{
		name: "h2", about: "HTTP/2, 8 connections with 16 streams each", load: true,
		metrics: []metric{
			{"h2.cpu", "h2, 8 × 16 streams: CPU per request", "µs"},
			{"h2.rate", "h2, 8 × 16 streams: requests", "1/s"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			var report h2loadResult
			used, err := spend(c, func() (err error) {
				report, err = b.h2load(ctx, c, "-c", "8", "-m", "16",
					"-D", fmt.Sprint(max(1, int(b.seconds.Round(time.Second).Seconds()))), c.url("/"))
				return err
			})
			if err != nil {
				return nil, err
			}
			return values{"h2.cpu": perRequest(used, report.requests), "h2.rate": report.rate}, nil
		},
	}
}

func (c *contender) url(path string) string {
	return fmt.Sprintf("https://app.localhost:%d%s", c.port, path)
}

// perRequest divides CPU time, in µs.
func perRequest(used time.Duration, requests int) float64 {
	return micros(used) / float64(requests)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
