package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"devproxy/internal/hostname"
)

// schemesHint lists the targets that there are.
const schemesHint = `use "http://host:port", "https://host:port", "h2c://host:port", ` +
	`"unix:/path", "dir:/path", "builtin:hello" or a bare port`

// readTarget returns the target that a value of the file stands for: a string
// or a port. Relative paths begin in folder.
func readTarget(value any, folder string) (*url.URL, *Error) {
	switch v := value.(type) {
	case string:
		return parseTarget(v, folder)
	case int64:
		return portTarget(strconv.FormatInt(v, 10))
	}
	return nil, fault(schemesHint, "the target must be a string or a port, not %s", kind(value))
}

// portTarget returns the target for a bare port: localhost, so that either
// address family will do.
func portTarget(port string) (*url.URL, *Error) {
	n, ok := parsePort(port)
	if !ok || n == 0 {
		return nil, fault("", "port %s is not between 1 and 65535", port)
	}
	return backendURL("http", "localhost", n), nil
}

func backendURL(scheme, host string, port uint16) *url.URL {
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}
}

// parseTarget parses the target of a route. Relative paths begin in folder.
func parseTarget(s, folder string) (*url.URL, *Error) {
	if e := checkTarget(s); e != nil {
		return nil, e
	}
	if isDigits(s) {
		return portTarget(s)
	}
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https", "h2c":
		return parseBackend(scheme, rest)
	case "unix", "dir":
		return parsePathTarget(scheme, rest, folder)
	case "builtin":
		if rest != "hello" {
			return nil, fault(`the only built-in app is "builtin:hello"`, "there is no built-in app %q", rest)
		}
		return &url.URL{Scheme: "builtin", Opaque: "hello"}, nil
	}
	return nil, schemeMistake(s, scheme, rest)
}

// checkTarget refuses what no target may be, whatever its scheme.
func checkTarget(s string) *Error {
	if s == "" {
		return fault(schemesHint, "no target")
	}
	if strings.TrimSpace(s) != s {
		return fault("remove the blanks", "blanks around the target %q", s)
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || slices.Contains([]string{"unix", "dir"}, strings.ToLower(scheme)) {
		return nil
	}
	authority := strings.TrimLeft(rest, "/")
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		authority = authority[:i]
	}
	if strings.Contains(authority, "@") {
		// Not quoted: it may hold a password.
		return fault("remove what stands before the @", "a target must not hold a user name or password")
	}
	return nil
}

// schemeMistake explains a target whose scheme is missing or unknown.
func schemeMistake(s, scheme, rest string) *Error {
	port, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme == "" && isDigits(port):
		return fault(fmt.Sprintf("write the port alone: %s", port), "the target %q has no scheme", s)
	case strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./"):
		return fault(fmt.Sprintf("write %q for a socket, %q for a folder", "unix:"+s, "dir:"+s), "the target %q has no scheme", s)
	case rest == "" || isDigits(port) || strings.HasPrefix(s, "["):
		// host, host:port or [::1]:port
		address, _, _ := strings.Cut(s, "/")
		if _, e := parseBackend("http", "//"+address); e == nil {
			return fault(fmt.Sprintf("write %q", "http://"+address), "the target %q has no scheme", s)
		}
		return fault(schemesHint, "the target %q has no scheme", s)
	}
	hint := schemesHint
	switch near := nearest(scheme, []string{"http", "https", "h2c", "unix", "dir", "builtin"}); {
	case scheme == "ws":
		hint = "use http://: WebSockets pass through it"
	case scheme == "wss":
		hint = "use https://: WebSockets pass through it"
	case scheme == "grpc":
		hint = "use h2c://: gRPC passes through it"
	case scheme == "file":
		hint = "use dir: for the files of a folder"
	case near != "":
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fault(hint, "scheme %q is not supported", scheme)
}

// parseBackend parses what follows the scheme of a URL, "//host:port".
func parseBackend(scheme, rest string) (*url.URL, *Error) {
	s := scheme + ":" + rest
	u, err := url.Parse(s)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, fault(`write "http://127.0.0.1:5000" or, for IPv6, "http://[::1]:5000"`, "the target %q is not a URL: %v", s, err)
	}
	switch {
	case u.Hostname() == "":
		return nil, fault(fmt.Sprintf(`write "%s://host:port"`, scheme), "the target %q has no host", s)
	case u.Path != "" && u.Path != "/":
		return nil, fault("write it without the path; requests keep theirs", "the target %q has a path, which is not supported", s)
	case u.RawQuery != "" || u.ForceQuery:
		return nil, fault("write it without the query", "the target %q has a query", s)
	case u.Fragment != "":
		return nil, fault("write it without the fragment", "the target %q has a fragment", s)
	}
	host, e := backendHost(u.Hostname())
	if e != nil {
		return nil, e
	}
	port := uint16(80)
	if scheme == "https" {
		port = 443
	}
	if text := u.Port(); text != "" {
		var ok bool
		if port, ok = parsePort(text); !ok || port == 0 {
			return nil, fault("", "port %s is not between 1 and 65535", text)
		}
	}
	return backendURL(scheme, host, port), nil
}

// backendHost returns an IP address or a name in normal form.
func backendHost(host string) (string, *Error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), nil
	}
	name, err := hostname.Normalize(host)
	if err != nil {
		return "", fault("", "%s", err)
	}
	return name, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
