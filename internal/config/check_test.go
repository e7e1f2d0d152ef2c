package config

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
)

// checkErrors verifies what holds for every error of Parse.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrEmpty) {
		return
	}
	errs := Errors(err)
	if len(errs) == 0 {
		t.Fatalf("error %v is no *Error", err)
	}
	last := 0
	for _, e := range errs {
		if e.Line <= 0 || e.Line < last {
			t.Fatalf("mistake on line %d after one on line %d: %v", e.Line, last, e)
		}
		last = e.Line
		if e.File == "" || e.Message == "" || strings.ContainsFunc(e.Error()+e.Hint, unprintable) {
			t.Fatalf("bad form: %q, hint %q", e, e.Hint)
		}
	}
}

// checkConfig verifies what holds for every result of Parse, and that it says
// the same when it is written down again.
func checkConfig(t *testing.T, c *Config) {
	t.Helper()
	for _, r := range c.Routes {
		if r.Line <= 0 || r.Host == "" || !strings.HasPrefix(r.Path, "/") || len(r.Path) > 1 && strings.HasSuffix(r.Path, "/") {
			t.Fatalf("bad route %+v", r)
		}
		checkRoute(t, r)
	}
	if c.KeyLog != "" && (!filepath.IsAbs(c.KeyLog) || filepath.Clean(c.KeyLog) != c.KeyLog || len(c.Warnings) == 0) {
		t.Fatalf("bad or silent key log %q", c.KeyLog)
	}
	text := render(c)
	again, err := Parse(c.File, []byte(text))
	if err != nil {
		t.Fatalf("written down again it does not parse: %v\n%s", err, text)
	}
	a, b := *c, *again
	a.Warnings, b.Warnings = nil, nil
	a.Routes, b.Routes = withoutLines(a.Routes), withoutLines(b.Routes)
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("written down again it differs:\n%+v\n%+v\n%s", a, b, text)
	}
}

// checkRoute verifies what those who serve a route rely on.
func checkRoute(t *testing.T, r Route) {
	t.Helper()
	backend := true
	switch u := r.Target; u.Scheme {
	case "http", "https", "h2c":
		if u.Port() == "" || u.Path != "" {
			t.Fatalf("no port or a path in %v", u)
		}
	case "unix", "dir":
		backend = u.Scheme == "unix"
		if !filepath.IsAbs(u.Path) || filepath.Clean(u.Path) != u.Path || u.Host != "" || u.Opaque != "" {
			t.Fatalf("bad path in %+v", u)
		}
		if strings.HasPrefix(u.String(), u.Scheme+"://") {
			t.Fatalf("a host in %s", u)
		}
	default:
		backend = false
	}
	plain := newRoute(r.Host, r.Path, r.Target)
	switch {
	case r.StripPrefix && r.Path == "/":
		t.Fatalf("nothing to strip: %+v", r)
	case r.Hold < 0 || r.Hold > longestHold || r.HostHeader == "":
		t.Fatalf("bad hold or host: %+v", r)
	case r.Insecure && r.Target.Scheme != "https":
		t.Fatalf("insecure without TLS: %+v", r)
	case !backend && (r.Hold != plain.Hold || r.HostHeader != plain.HostHeader || !reflect.DeepEqual(r.RequestHeaders, HeaderRules{})):
		t.Fatalf("options for a backend without one: %+v", r)
	}
	switch r.ClientAuth {
	case "request", "require":
	default:
		if r.ClientAuth != "none" || r.ClientCA != "" {
			t.Fatalf("client_auth %q with %q", r.ClientAuth, r.ClientCA)
		}
	}
	if (r.ClientCA == "") != (len(r.ClientAnchors) == 0) {
		t.Fatalf("client_ca %q with %d certificates", r.ClientCA, len(r.ClientAnchors))
	}
	for _, rules := range []HeaderRules{r.RequestHeaders, r.ResponseHeaders} {
		names := slices.Concat(slices.Collect(maps.Keys(rules.Set)), rules.Remove)
		for i, name := range names {
			if !httpguts.ValidHeaderFieldName(name) || textproto.CanonicalMIMEHeaderKey(name) != name || slices.Contains(names[:i], name) {
				t.Fatalf("bad names of headers: %q", names)
			}
			if slices.Contains([]string{"connection", "content-length", "transfer-encoding", "host"}, strings.ReplaceAll(strings.ToLower(name), "_", "-")) {
				t.Fatalf("a rule for %s", name)
			}
		}
		for _, value := range rules.Set {
			if !httpguts.ValidHeaderFieldValue(value) || strings.Trim(value, " \t") != value {
				t.Fatalf("bad value %q", value)
			}
		}
	}
}

func withoutLines(routes []Route) []Route {
	var plain []Route
	for _, r := range routes {
		r.Line = 0
		plain = append(plain, r)
	}
	return plain
}

// render writes a configuration as a file.
func render(c *Config) string {
	var b strings.Builder
	array := func(key string, values []string) {
		fmt.Fprintf(&b, "%s = [", key)
		for _, v := range values {
			fmt.Fprintf(&b, "%q,", v)
		}
		b.WriteString("]\n")
	}
	if c.Listen != nil {
		array("listen", texts(c.Listen))
	}
	if c.Redirect != nil {
		array("redirect", texts(c.Redirect))
	}
	b.WriteString("[ca]\n")
	array("domains", c.Domains)
	fmt.Fprintf(&b, "[log]\nlevel = %q\nformat = %q\naccess = %v\n[routes]\n", c.Log.Level, c.Log.Format, c.Log.Access)
	if c.KeyLog != "" {
		fmt.Fprintf(&b, "[tls]\nkeylog = %q\n", c.KeyLog)
	}
	for _, r := range c.Routes {
		fmt.Fprintf(&b, "[routes.%q]\nto = %q\n%s\n", r.Host+r.Path, r.TargetText(), strings.Join(options(r), "\n"))
	}
	return b.String()
}

func texts[T fmt.Stringer](values []T) []string {
	var all []string
	for _, v := range values {
		all = append(all, v.String())
	}
	return all
}

// describe writes out a configuration, one fact per line.
func describe(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen %v unset=%v\n", c.Listen, c.Listen == nil)
	fmt.Fprintf(&b, "redirect %v unset=%v\n", c.Redirect, c.Redirect == nil)
	fmt.Fprintf(&b, "domains %v\n", c.Domains)
	fmt.Fprintf(&b, "log %+v\n", c.Log)
	if c.KeyLog != "" {
		fmt.Fprintf(&b, "keylog %s\n", c.KeyLog)
	}
	for _, r := range c.Routes {
		fmt.Fprintf(&b, "route %s %s → %s (%s, line %d)\n", r.Host, r.Path, r.TargetText(), r.Key(), r.Line)
		for _, option := range options(r) {
			fmt.Fprintf(&b, "  %s\n", option)
		}
	}
	return b.String()
}

// options returns the lines of the long form that say other than when unset.
func options(r Route) []string {
	var lines []string
	plain := newRoute(r.Host, r.Path, r.Target)
	add := func(differs bool, format string, args ...any) {
		if differs {
			lines = append(lines, fmt.Sprintf(format, args...))
		}
	}
	add(r.StripPrefix, "strip_prefix = true")
	add(r.HostHeader != plain.HostHeader, "host = %q", r.HostHeader)
	add(r.Hold != plain.Hold, "hold = %q", r.Hold)
	add(r.KeepHSTS, `hsts = "keep"`)
	add(r.Insecure, "insecure = true")
	add(r.ClientAuth != plain.ClientAuth, "client_auth = %q", r.ClientAuth)
	add(r.ClientCA != "", "client_ca = %q", r.ClientCA)
	for _, h := range []struct {
		key   string
		rules HeaderRules
	}{{"request_headers", r.RequestHeaders}, {"response_headers", r.ResponseHeaders}} {
		for _, name := range slices.Sorted(maps.Keys(h.rules.Set)) {
			add(true, "%s.set.%q = %q", h.key, name, h.rules.Set[name])
		}
		add(h.rules.Remove != nil, `%s.remove = ["%s"]`, h.key, strings.Join(h.rules.Remove, `", "`))
	}
	return lines
}
