package main

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
)

func (a *app) routesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "routes [HOST[/PATH]=TARGET ...]",
		Short: "List the routes, whether devproxy answers for them now, and their backends",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.routes(cmd.Context(), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// routesReport is the output of routes --json. Schema goes up when a field
// changes its meaning; new fields may come without.
type routesReport struct {
	Schema int           `json:"schema"`
	File   string        `json:"file,omitempty"`
	Routes []routeReport `json:"routes"`
}

type routeReport struct {
	Host    string `json:"host"`
	Path    string `json:"path"`
	Backend string `json:"backend"`
	URL     string `json:"url,omitempty"` // only if it answered a moment ago, and never for a wildcard
	Serving bool   `json:"serving"`
	Up      bool   `json:"up"` // the backend takes connections, or the folder is there

	Insecure   bool   `json:"insecure,omitempty"`    // the backend's certificate is not verified
	ClientAuth string `json:"client_auth,omitempty"` // "request" or "require"
	ClientCA   string `json:"client_ca,omitempty"`   // a file, if that is not devproxy's own CA
}

func (a *app) routes(ctx context.Context, args []string, asJSON bool) error {
	o, err := a.open(args)
	if err != nil {
		return err
	}
	cfg := o.cfg
	a.warnings(cfg)
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	found := a.inspectRunning(ctx, cfg, o.state)

	if asJSON {
		report := routesReport{Schema: 1, File: cfg.File, Routes: []routeReport{}}
		for i, f := range found {
			r := routeReport{
				Host:    cfg.Routes[i].Host,
				Path:    cfg.Routes[i].Path,
				Backend: cfg.Routes[i].TargetText(),
				Serving: f.servedErr == nil,
				Up:      f.backendErr == nil,

				Insecure: cfg.Routes[i].Insecure,
				ClientCA: cfg.Routes[i].ClientCA,
			}
			if auth := cfg.Routes[i].ClientAuth; auth != "none" {
				r.ClientAuth = auth
			}
			if r.Serving && !strings.HasPrefix(r.Host, "*.") {
				r.URL = f.url
			}
			report.Routes = append(report.Routes, r)
		}
		return writeJSON(a.stdout, report)
	}
	if len(found) == 0 {
		a.printf("no routes\n")
	}
	rows := make([][]cell, len(found))
	for i, f := range found {
		if f.servedErr != nil {
			f.url = f.key
			rows[i] = []cell{{f.key, bold}, {f.target, dim}, a.ui.mark(false, "not served now")}
			continue
		}
		rows[i] = a.routeRow(f)
	}
	a.ui.table(rows)
	return nil
}

// inspectRunning looks for a running devproxy where the configuration says it
// listens, 443 or 8443 where it says nothing. It recognises itself by its
// root.
func (a *app) inspectRunning(ctx context.Context, cfg *config.Config, state string) []inspected {
	at := []netip.AddrPort{loopback(httpsPort)[0], loopback(httpsPortUnprived)[0]}
	if len(cfg.Listen) > 0 {
		at = cfg.Listen[:1]
	}
	ca, err := issuer.Load(state)
	if err != nil {
		return a.inspect(ctx, cfg.Routes, 0, func(context.Context, string) error { return err })
	}
	a.backends.use(ca)
	var found []inspected
	for _, addr := range at {
		found = a.inspect(ctx, cfg.Routes, addr.Port(), answering(addr, ca.Root()))
		if slices.ContainsFunc(found, func(f inspected) bool { return f.servedErr == nil }) {
			break
		}
	}
	return found
}
