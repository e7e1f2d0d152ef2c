package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A host name without quotes is valid TOML with another meaning:
//
//	[routes]
//	shop.localhost = 5173
//
// is a table shop in [routes] with a key localhost.

// unquoted reports whether a table of [routes] comes from a host name without
// quotes, and is not the long form of a route with a misspelt key.
func unquoted(key string, values map[string]any) bool {
	if strings.Contains(key, ".") || len(values) == 0 || longForm(values) {
		return false
	}
	known := routeSection.keys
	for below := range values {
		if nearest(below, known) == "" {
			return true
		}
	}
	return false
}

// leaf is a value somewhere below a table.
type leaf struct {
	path  []string
	value any
}

// leaves returns what lies in the nested tables that a host name without
// quotes makes: [routes] shop.localhost = 1 is routes → shop → localhost.
func leaves(path []string, values map[string]any) []leaf {
	var all []leaf
	for key, v := range values {
		below := append(path[:len(path):len(path)], key)
		if m, ok := v.(map[string]any); ok && len(m) > 0 && !longForm(m) {
			all = append(all, leaves(below, m)...)
		} else {
			all = append(all, leaf{below, v})
		}
	}
	slices.SortFunc(all, func(a, b leaf) int { return slices.Compare(a.path, b.path) })
	return all
}

// name returns the host name that was meant.
func (l leaf) name() string { return strings.Join(l.path, ".") }

// quoted returns the line of [routes] that was meant.
func (l leaf) quoted() string {
	if _, isTable := l.value.(map[string]any); isTable {
		return fmt.Sprintf("[routes.%q]", l.name())
	}
	// What is no target may be the value of a header, which is not shown.
	if _, e := readTarget(l.value, anyFolder); e == nil && !slices.ContainsFunc(l.path, aboutHeader) {
		switch v := l.value.(type) {
		case string:
			return fmt.Sprintf("%q = %q", l.name(), v)
		case int64:
			return fmt.Sprintf("%q = %s", l.name(), strconv.FormatInt(v, 10))
		}
	}
	return fmt.Sprintf("%q = …", l.name())
}
