package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"devproxy/internal/hostname"
)

// CheckEnvironment is what Environment's checks are called.
const CheckEnvironment = "environment"

// Environment judges the variables that lead clients to roots, or away from
// this machine (clients.md §11). hosts are the names that clients are to
// reach.
func (m Machine) Environment(ctx context.Context, hosts []string) []Check {
	var checks []Check
	add := func(name string, v Verdict) {
		checks = append(checks, Check{Check: CheckEnvironment, Subject: name, Verdict: v})
	}
	for _, v := range []struct {
		name, clients string
		folder        bool
	}{
		{"SSL_CERT_FILE", "OpenSSL, Python, Ruby, Go and more", false},
		{"SSL_CERT_DIR", "OpenSSL, Python, Ruby, Go and more", true},
		{"CURL_CA_BUNDLE", "curl and Python's requests", false},
		{"REQUESTS_CA_BUNDLE", "Python's requests, pip and the AWS CLI", false},
		{"PIP_CERT", "pip", false},
		{"AWS_CA_BUNDLE", "the AWS CLI", false},
		{"GIT_SSL_CAINFO", "git", false},
		{"GIT_SSL_CAPATH", "git", true},
		{"NODE_EXTRA_CA_CERTS", "Node", false},
		{"DENO_CERT", "Deno", false},
		{"CARGO_HTTP_CAINFO", "cargo", false},
	} {
		if value := m.Env(v.name); value != "" {
			add(v.name, m.variable(ctx, v.name, value, v.clients, v.folder))
		}
	}
	for _, name := range []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"} {
		if file := trustStore(m.Env(name)); file != "" {
			add(name, m.javaVariable(name, file))
		}
	}
	if m.Env("NODE_TLS_REJECT_UNAUTHORIZED") == "0" {
		add("NODE_TLS_REJECT_UNAUTHORIZED", Verdict{Warn, "Node verifies nobody: anyone can pose as any site", "unset NODE_TLS_REJECT_UNAUTHORIZED"})
	}
	for _, name := range []string{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		if m.Env(name) == "" {
			continue
		}
		v := Verdict{State: OK, Detail: "NO_PROXY keeps our names out of it"}
		for _, host := range hosts {
			if !m.direct(noProxy, host) {
				v = Verdict{Warn, fmt.Sprintf("clients ask that proxy for %s, unless NO_PROXY and no_proxy name it", hostname.Display(host)), m.Exec + " sh"}
				break
			}
		}
		add(name, v)
	}
	return checks
}

// variable judges one that names a file or a folder of roots, by a handshake
// through just these.
func (m Machine) variable(ctx context.Context, name, value, clients string, folder bool) Verdict {
	pool := x509.NewCertPool()
	var err error
	if folder {
		for _, dir := range filepath.SplitList(value) {
			err = errors.Join(err, addFolder(pool, dir, false))
		}
	} else {
		err = addAny(pool, value)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Verdict{Warn, "points to " + value + ", which is not there", "unset " + name}
	case err != nil:
		return Verdict{Warn, strings.ReplaceAll(err.Error(), "\n", "; "), "unset " + name}
	case m.Root == nil:
		return Verdict{State: Unknown, Detail: "there is no root yet that could be in " + value}
	}
	if err := m.Handshake(ctx, pool); err != nil {
		return Verdict{Warn, fmt.Sprintf("points to %s, which lacks the root; it is read by %s", value, clients), m.mend(value, m.Exec+" sh")}
	}
	return Verdict{State: OK, Detail: value + " holds the root"}
}

func (m Machine) javaVariable(name, file string) Verdict {
	if m.Root == nil {
		return Verdict{State: Unknown, Detail: "there is no root yet that could be in " + file}
	}
	holds, err := keystoreHolds(file, m.Root)
	switch {
	case err != nil:
		return Verdict{Warn, err.Error(), "unset " + name}
	case !holds:
		return Verdict{Warn, "points to " + file + ", which lacks the root", "unset " + name}
	}
	return Verdict{State: OK, Detail: file + " holds the root"}
}
