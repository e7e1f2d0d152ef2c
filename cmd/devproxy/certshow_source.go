package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"devproxy/internal/atomicfile"
	"devproxy/internal/certfile"
	"devproxy/internal/config"
	"devproxy/internal/explain"
	"devproxy/internal/hostname"
	"devproxy/internal/issuer"
)

// certEndings are how files with certificates are named, and no host.
var certEndings = []string{".pem", ".crt", ".cer", ".der", ".key", ".csr", ".crl", ".p12", ".pfx", ".p7b"}

// fileMeant returns the file that arg means, "" if it means a host.
func fileMeant(arg string) (string, error) {
	switch {
	case arg == "":
		return "", withHint(usagef("there is nothing to show"), "name a file or a host")
	case arg == stdinName:
		return arg, nil
	case strings.Contains(arg, "://"):
		return "", nil
	}
	info, err := os.Stat(arg)
	looksIt := strings.HasPrefix(arg, ".") || filepath.IsAbs(arg) || isCertFile(arg)
	switch {
	case err == nil && !info.IsDir():
		return arg, nil
	case err == nil && (looksIt || !strings.Contains(arg, ".") || strings.ContainsRune(arg, filepath.Separator)):
		return "", withHint(fmt.Errorf("%s is a folder, not a file", arg), "%s", orDefault(filesNear(filepath.Join(arg, "x")), "name a file in it"))
	case err != nil && looksIt && errors.Is(err, fs.ErrNotExist):
		return "", withHint(fmt.Errorf("there is no file %s", arg), "%s", orDefault(filesNear(arg), "see whether the name and the folder are right"))
	case err != nil && looksIt:
		return "", fmt.Errorf("read %s: %w", arg, atomicfile.Cause(err))
	}
	return "", nil
}

// isCertFile reports whether a name is that of a file with certificates.
func isCertFile(name string) bool {
	return slices.Contains(certEndings, strings.ToLower(filepath.Ext(name)))
}

// filesNear names files with certificates in the folder of path.
func filesNear(path string) string {
	const most = 5
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var found []string
	for _, e := range entries {
		if !e.IsDir() && isCertFile(e.Name()) {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	if len(found) == 0 {
		return ""
	}
	more := ""
	if len(found) > most {
		more = fmt.Sprintf(" and %d more", len(found)-most)
		found = found[:most]
	}
	return "there are: " + strings.Join(found, ", ") + more
}

// lookAtFile reads a file, which may be a pipe.
func (a *app) lookAtFile(ctx context.Context, path string, o showOptions) (*shown, error) {
	shownName, data, err := a.readInput(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", shownName, atomicfile.Cause(err))
	}
	content, err := certfile.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %v", shownName, err)
	}
	s := &shown{source: shownSource{Kind: "file", Name: shownName}, content: content, host: o.name}
	switch {
	case content.PKCS12:
		s.source.PKCS12 = true
		key, chain, err := a.openPKCS12(ctx, shownName, data, o.passwordFile)
		if err != nil {
			return nil, err
		}
		s.content = &certfile.Content{Certificates: chain}
		if signer, ok := key.(crypto.Signer); ok {
			s.content.Keys = []certfile.Key{{Private: signer}}
		}
	case o.passwordFile != "":
		return nil, withHint(usagef("%s is not PKCS#12, so it has no password", shownName), "leave --password-file out")
	}
	return s, nil
}

// lookAtServer asks a server for its certificates.
func (e *examination) lookAtServer(ctx context.Context, t *target, o showOptions) (*shown, error) {
	host := orDefault(o.name, t.host)
	places, hint := e.places(ctx, t)
	var failed error
	for _, place := range places {
		presented, err := explain.Fetch(ctx, place, host)
		if err == nil {
			return &shown{
				source: shownSource{
					Kind: "server", Name: t.text, Address: place,
					Version: presented.Version, CipherSuite: presented.CipherSuite, ALPN: presented.ALPN, AsksClient: presented.AsksClient,
				},
				content: &certfile.Content{Certificates: presented.Chain},
				host:    host,
			}, nil
		}
		if failed == nil {
			failed = err
		}
	}
	fix := e.connectionVerdict(t, failed, false).Fix
	if _, oversize := errors.AsType[*explain.OversizeError](failed); hint != "" && !oversize {
		fix = hint
	}
	return nil, withHint(failed, "%s", fix)
}

// places returns where to connect to for a target, the best first, and what to
// do if none answers, "" being what doctor says then.
func (e *examination) places(ctx context.Context, t *target) (addresses []string, hint string) {
	cfg := e.routing()
	routed, local := len(t.routesOf(cfg.Routes)) > 0, hostname.Within(t.host, "localhost")
	switch {
	case !routed && !local && !strings.ContainsAny(t.host, ".:"):
		return []string{t.address()}, "there is no file " + t.text + " here either: see whether the name is right"
	case !routed && !local:
		return []string{t.address()}, ""
	case t.port == 0:
		e.findListeners(ctx, cfg)
		for _, l := range e.seen.listeners {
			if l.ours {
				addresses = append(addresses, reachable(l.addr).String())
			}
		}
		if len(addresses) > 0 {
			return addresses, ""
		}
		return onLoopback(httpsPort), "devproxy is not running: " + e.app.command("serve")
	case !routed:
		return onLoopback(t.port), "see whether the port is right, or leave it out for that of devproxy"
	case !e.ownPort(cfg, t.port) && !local:
		return []string{t.address()}, "devproxy serves this host on another port: leave the port out"
	case !e.ownPort(cfg, t.port):
		return onLoopback(t.port), "devproxy serves this host on another port: leave the port out"
	}
	for _, addr := range cfg.Listen {
		if addr.Port() == t.port {
			addresses = append(addresses, reachable(addr).String())
		}
	}
	for _, place := range onLoopback(t.port) {
		if !slices.Contains(addresses, place) {
			addresses = append(addresses, place)
		}
	}
	return addresses, "devproxy is not running: " + e.app.command("serve")
}

// onLoopback returns both addresses of this machine with a port.
func onLoopback(port uint16) []string {
	both := loopback(port)
	return []string{both[0].String(), both[1].String()}
}

// routing loads the configuration. One that is wrong routes nothing, which is
// said: a host elsewhere can be looked at all the same.
func (e *examination) routing() *config.Config {
	src, err := e.app.newSource(nil)
	var cfg *config.Config
	if err == nil {
		cfg, err = src.load()
	}
	if err != nil {
		e.app.ui.warn("the configuration is wrong, so no host is taken for a routed one: see " + e.app.command("check"))
		return &config.Config{}
	}
	return cfg
}

// loadAuthority loads the CA of this machine, if there is one.
func (e *examination) loadAuthority() {
	state, err := e.app.stateDir()
	if err != nil {
		return
	}
	e.seen.state = state
	ca, err := issuer.Load(state)
	switch {
	case err == nil:
		e.seen.ca = ca
	case !errors.Is(err, fs.ErrNotExist):
		e.app.ui.warn(fmt.Sprintf("devproxy's root is not counted as trusted: %v", err))
	}
}
