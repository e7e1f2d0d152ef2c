package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// pageModules is how many modules a page of a large application has in a dev
// server that does not bundle.
const pageModules = 2000

// page loads as many small modules over one connection of HTTP/2, 100 at a
// time, as browsers do.
func page() measurement {
	return measurement{
		name: "page", about: "pages of 2,000 modules", load: true,
		metrics: []metric{
			{"page.wall", "page of 2,000 modules, h2", "ms"},
			{"page.cpu", "page of 2,000 modules, h2: CPU", "ms"},
		},
		take: func(ctx context.Context, b *bench, c *contender) (values, error) {
			list, err := b.moduleList(c)
			if err != nil {
				return nil, err
			}
			var wall, cpu []float64
			for range b.scaled(5) {
				var report h2loadResult
				used, err := spend(c, func() (err error) {
					report, err = b.h2load(ctx, c, "-c", "1", "-m", "100", "-n", strconv.Itoa(pageModules), "-w", "24", "-W", "24", "-i", list)
					return err
				})
				if err != nil {
					return nil, err
				}
				wall, cpu = append(wall, millis(report.took)), append(cpu, millis(used))
			}
			return values{"page.wall": median(wall), "page.cpu": median(cpu)}, nil
		},
	}
}

// moduleList writes a file of the URLs of a page's modules.
func (b *bench) moduleList(c *contender) (string, error) {
	var urls bytes.Buffer
	for i := range pageModules {
		fmt.Fprintln(&urls, c.url(fmt.Sprintf("/module/src/components/part%d.js", i)))
	}
	path := filepath.Join(b.dir, "modules")
	return path, os.WriteFile(path, urls.Bytes(), 0o644)
}
