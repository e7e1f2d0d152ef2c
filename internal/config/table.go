package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A table is a table of the file. Its methods read one value each, report what
// is wrong with it, and return whether there is one and it is good.
type table struct {
	p      *parser
	path   []string // from the root of the file
	prefix string   // what messages put before a key: "log." or `route "a.test": `
	values map[string]any
}

// has reports whether the table has a key, whatever its value.
func (t table) has(key string) bool {
	_, ok := t.values[key]
	return ok
}

// keys returns the keys of the table in the order of the file.
func (t table) keys() []string {
	type place struct {
		offset int
		key    string
	}
	places := make([]place, 0, len(t.values))
	for key := range t.values {
		at, _ := t.p.layout.find(t.at(key)...)
		places = append(places, place{at.offset, key})
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.offset != b.offset {
			return cmp.Compare(a.offset, b.offset)
		}
		return cmp.Compare(a.key, b.key)
	})
	keys := make([]string, len(places))
	for i, p := range places {
		keys[i] = p.key
	}
	return keys
}

// at returns the path of what lies below the table.
func (t table) at(below ...string) []string {
	return slices.Concat(t.path, below)
}

// label returns what messages call a key.
func (t table) label(key string) string {
	if key == "" || strings.Trim(key, bareLetters) != "" {
		return t.prefix + strconv.Quote(key)
	}
	return t.prefix + key
}

// report notes a mistake in the value of key.
func (t table) report(key string, e *Error) {
	t.p.report(e, t.label(key), t.at(key)...)
}

// mistyped reports that the value of key is not what it has to be.
func (t table) mistyped(key, want, hint string) {
	t.report(key, fault(hint, "must be %s, not %s", want, kind(t.values[key])))
}

func (t table) text(key string) (string, bool) {
	if !t.has(key) {
		return "", false
	}
	s, ok := t.values[key].(string)
	if !ok {
		t.mistyped(key, "a string", "strings stand in quotes")
	}
	return s, ok
}

func (t table) flag(key string) (value, ok bool) {
	if !t.has(key) {
		return false, false
	}
	value, ok = t.values[key].(bool)
	if !ok {
		hint := ""
		if s, isText := t.values[key].(string); isText && (s == "true" || s == "false") {
			hint = fmt.Sprintf("write it without quotes: %s = %s", key, s)
		}
		t.mistyped(key, "true or false", hint)
	}
	return value, ok
}

// choice reads one of a few words.
func (t table) choice(key string, allowed ...string) (string, bool) {
	s, ok := t.text(key)
	if !ok || slices.Contains(allowed, s) {
		return s, ok
	}
	hint := ""
	if near := nearest(strings.ToLower(s), allowed); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	last := len(allowed) - 1
	t.report(key, fault(hint, "%q is not %s or %s", s, strings.Join(allowed[:last], ", "), allowed[last]))
	return "", false
}

// texts reads an array and calls each for its elements, which report through
// the function they get.
func (t table) texts(key string, each func(i int, s string, report func(*Error))) bool {
	if !t.has(key) {
		return false
	}
	values, ok := t.values[key].([]any)
	if !ok {
		hint := ""
		switch v := t.values[key].(type) {
		case string:
			hint = fmt.Sprintf("write %s = [%q]", key, v)
		case int64:
			hint = fmt.Sprintf("write strings in brackets: %s = [\"…\"]", key)
		}
		t.mistyped(key, "an array of strings", hint)
		return false
	}
	for i, v := range values {
		report := func(e *Error) { t.p.report(e, t.label(key), t.at(key, strconv.Itoa(i))...) }
		if s, ok := v.(string); ok {
			each(i, s, report)
		} else {
			report(fault("strings stand in quotes", "must hold strings, not %s", kind(v)))
		}
	}
	return true
}

// table reads a table; messages put prefix before its keys.
func (t table) table(key, prefix string) (table, bool) {
	if !t.has(key) {
		return table{}, false
	}
	values, ok := t.values[key].(map[string]any)
	if !ok {
		t.mistyped(key, "a table", fmt.Sprintf("write [%s] on a line of its own and the keys below it", key))
		return table{}, false
	}
	return table{p: t.p, path: t.at(key), prefix: prefix, values: values}, true
}

// kind names the type of a decoded value.
func kind(v any) string {
	switch v := v.(type) {
	case string:
		return "a string"
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case time.Time:
		return "a date or time"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	}
	return fmt.Sprintf("a %T", v)
}
