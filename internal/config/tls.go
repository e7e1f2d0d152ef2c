package config

import (
	"os"
	"path/filepath"
)

// readTLS reads [tls].
func (p *parser) readTLS(t table) {
	path, ok := t.text("keylog")
	if !ok || path == "" {
		return
	}
	file, e := parseFile(path, p.folder)
	if e != nil {
		t.report("keylog", e)
		return
	}
	p.config.KeyLog = file
	for _, w := range warnKeyLog(file, p.folder) {
		w.Key = t.label("keylog")
		p.warn(w, p.layout.line(t.at("keylog")...))
	}
}

// warnKeyLog returns what is likely to surprise about a key log that a file in
// folder asks for.
func warnKeyLog(file, folder string) []*Error {
	found := []*Error{fault("remove keylog when you have seen enough, and delete the file",
		"whoever reads %s can read all traffic, cookies and passwords included", file)}
	if !within(file, folder) { // whoever wrote the file, which may come with somebody's repository, chose that
		found = append(found, fault("make sure that you want that, or name a file beside this one",
			"%s is not in the folder of this file or below it", file))
	}
	return found
}

// checkKeyLog reports routes that serve the key log to everyone who asks.
func (p *parser) checkKeyLog() {
	for _, r := range p.config.Routes {
		if e := p.config.exposed(r, r.Key()); e != nil {
			e.Key = ""
			p.report(e, "tls.keylog", "tls", "keylog")
			return
		}
	}
}

// exposed returns what is wrong with a route that serves the folder where the
// key log is, or nil. The key is how the user wrote the route.
func (c *Config) exposed(r Route, key string) *Error {
	if c.KeyLog == "" || r.Target.Scheme != "dir" || !within(c.KeyLog, r.Target.Path) {
		return nil
	}
	e := fault("name a file outside of that folder",
		"the key log %s lies in the folder that %s serves: every program and page that can open its URL could read all traffic", c.KeyLog, routeName(key))
	e.Key = routeName(key)
	return e
}

// within reports whether the path of a file leads into folder or below it. Links
// are followed, since a repository can bring some along, and two spellings of a
// name are one where the file system takes them for one.
func within(file, folder string) bool {
	file, folder = followed(file), followed(folder)
	info, err := os.Stat(folder)
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		if dir == folder {
			return true
		}
		if other, otherErr := os.Stat(dir); err == nil && otherErr == nil && os.SameFile(info, other) {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

// followed returns path without links, as far as it exists.
func followed(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(followed(parent), filepath.Base(path))
}
