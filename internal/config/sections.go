package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// sections are the keys of each table; "" is the top of the file. What they
// mean is said at Config.
var sections = []struct {
	name string
	keys []string
}{
	{"", []string{"listen", "redirect", "ca", "log", "tls", "routes"}},
	{"ca", []string{"domains"}},
	{"log", []string{"level", "format", "access"}},
	{"tls", []string{"keylog"}},
}

func keysOf(section string) []string {
	for _, s := range sections {
		if s.name == section {
			return s.keys
		}
	}
	return nil
}

// readFile reads the whole file.
func (p *parser) readFile(top table) {
	known := func(key string) bool { return nearest(strings.ToLower(key), keysOf("")) != "" }
	for _, key := range top.unknown(keysOf("")) {
		hint := misplaced(key, "")
		if m, ok := top.values[key].(map[string]any); ok && len(m) > 0 && hint == "" && !known(key) {
			first := leaves([]string{key}, m)[0]
			hint = fmt.Sprintf("routes stand below [routes], their names in quotes: %s", first.quoted())
		}
		if hint == "" && strings.ContainsAny(key, "./*") {
			hint = "routes stand below [routes]"
		}
		top.reportUnknown(key, keysOf(""), hint)
	}
	p.config.Listen = p.readListen(top)
	p.config.Redirect = p.readRedirect(top)
	for _, s := range sections[1:] {
		t, ok := top.table(s.name, s.name+".")
		if !ok {
			continue
		}
		for _, key := range t.unknown(s.keys) {
			t.reportUnknown(key, s.keys, misplaced(key, s.name))
		}
		switch s.name {
		case "ca":
			p.config.Domains = readDomains(t)
		case "log":
			readLog(t, &p.config.Log)
		case "tls":
			t.text("keylog")
			t.refuseUnsupported(unsupportedTLSKeys)
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

// misplaced returns a hint for a key that exists, but not in the section where
// it stands. In TOML every key below a [table] line belongs to that table.
func misplaced(key, section string) string {
	for _, s := range sections {
		switch {
		case s.name == section || !slices.Contains(s.keys, key):
		case s.name == "":
			return fmt.Sprintf("move %q to the top of the file, above the first line in [brackets]", key)
		default:
			return fmt.Sprintf("%q belongs below [%s]", key, s.name)
		}
	}
	return ""
}

func (p *parser) reportClashes(clashes []clash) {
	for _, c := range clashes {
		key, earlier := pathName(c.at.path), pathName(c.earlier.path)
		e := fault("keep one of the two", "already defined on line %d", c.earlier.line)
		switch {
		case key != earlier:
			e = fault("", "clashes with %s on line %d", earlier, c.earlier.line)
			longer := c.at.path
			if len(c.earlier.path) > len(longer) {
				longer = c.earlier.path
			}
			if longer[0] == "routes" && len(longer) > 2 {
				e.Hint = fmt.Sprintf("put the host name in quotes: %q", strings.Join(longer[1:], "."))
			}
		case c.at.kind == tableHeader && c.earlier.kind == tableHeader:
			e.Hint = fmt.Sprintf("put all its keys below the first [%s]", toml.Key(c.at.path))
		}
		// Not through report, which would name the line of the earlier one.
		e.File, e.Line, e.Key = p.file, c.at.line, key
		p.mistakes = append(p.mistakes, e.tidy())
	}
}

// pathName returns what messages call the key at path.
func pathName(path []string) string {
	if len(path) == 2 && path[0] == "routes" {
		return routeName(path[1])
	}
	return toml.Key(path).String()
}

func readLog(t table, log *Log) {
	if level, ok := t.choice("level", "debug", "info", "warn", "error"); ok {
		log.Level = level
	}
	if format, ok := t.choice("format", "console", "json"); ok {
		log.Format = format
	}
	if access, ok := t.flag("access"); ok {
		log.Access = access
	}
}
