package config

import (
	"fmt"
	"slices"
	"strings"
)

// A section is a table of the file, known by its keys.
type section struct {
	name string   // "" is the top of the file
	keys []string // what it may hold
}

// To add a key, list it here, give Config a field that documents it, and read
// its value where its section is read: readTop and readLongForm lead there.

var topSection = section{keys: []string{"listen", "redirect", "ca", "log", "tls", "routes"}}

// sections are the tables whose keys are not names of hosts.
var sections = []section{
	topSection,
	{name: "ca", keys: []string{"domains"}},
	{name: "log", keys: []string{"level", "format", "access"}},
	{name: "tls", keys: []string{"keylog"}},
}

// routeSection is the long form of a route, [routes."host"].
var routeSection = section{
	keys: []string{
		"to", "strip_prefix", "host", "hold", "hsts", "insecure", "client_auth", "client_ca",
		"request_headers", "response_headers",
	},
}

// headersSection are the rules of request_headers and response_headers.
var headersSection = section{keys: []string{"set", "remove"}}

// readTop reads the whole file.
func (p *parser) readTop(top table) {
	known := topSection.keys
	for _, key := range top.unknown(known) {
		hint := misplaced(key, "")
		near := nearest(strings.ToLower(key), known)
		isRoutes := near == "" && !slices.Contains(routeSection.keys, key)
		if m, ok := top.values[key].(map[string]any); ok && len(m) > 0 && hint == "" && isRoutes {
			first := leaves([]string{key}, m)[0]
			hint = fmt.Sprintf("routes stand below [routes], their names in quotes: %s", first.quoted())
		}
		if hint == "" && slices.Contains(routeSection.keys, key) {
			hint = fmt.Sprintf("%q belongs below the line of a route, such as [routes.\"shop.localhost\"]", key)
		}
		if hint == "" && strings.ContainsAny(key, "./*") {
			hint = "routes stand below [routes]"
		}
		top.reportUnknown(key, known, hint)
	}
	p.config.Listen = p.readListen(top)
	p.config.Redirect = p.readRedirect(top)
	for _, s := range sections[1:] {
		t, ok := top.table(s.name, s.name+".")
		if !ok {
			continue
		}
		known := s.keys
		for _, key := range t.unknown(known) {
			t.reportUnknown(key, known, misplaced(key, s.name))
		}
		switch s.name {
		case "ca":
			p.config.Domains = readDomains(t)
		case "log":
			readLog(t, &p.config.Log)
		case "tls":
			p.readTLS(t)
		}
	}
	if t, ok := top.table("routes", ""); ok {
		p.readRoutes(t)
	}
}

// unknown returns the keys of the table that are none of known.
func (t table) unknown(known []string) []string {
	return slices.DeleteFunc(t.keys(), func(key string) bool { return slices.Contains(known, key) })
}

// reportUnknown reports a key that is none of known, with the hint or else with
// the nearest known one.
func (t table) reportUnknown(key string, known []string, hint string) {
	if near := nearest(strings.ToLower(key), known); hint == "" && near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	t.report(key, fault(hint, "unknown key"))
}

// misplaced returns a hint for a key that exists, but not in the section of
// that name, where it stands. In TOML every key below a [table] line belongs to
// that table.
func misplaced(key, name string) string {
	for _, s := range sections {
		switch {
		case s.name == name || !slices.Contains(s.keys, key):
		case s.name == "":
			return fmt.Sprintf("move %q to the top of the file, above the first line in [brackets]", key)
		default:
			return fmt.Sprintf("%q belongs below [%s]", key, s.name)
		}
	}
	return ""
}
