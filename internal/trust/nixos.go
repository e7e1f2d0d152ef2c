package trust

import (
	"context"
	"fmt"

	"devproxy/internal/elevate"
)

const kindNixOS = "nixos"

// nixOS is the system store where it is built from a declaration: devproxy
// reads it and tells the line to write.
type nixOS struct {
	bundle string
}

// nixOS returns the store, nil if this is not such a system.
func (m *Machine) nixOS() *nixOS {
	if !isFile(m.at("/etc/NIXOS")) || !isFile(m.at("/etc/ssl/certs/ca-certificates.crt")) {
		return nil
	}
	return &nixOS{bundle: m.at("/etc/ssl/certs/ca-certificates.crt")}
}

func findNixOS(m *Machine, _ anchor) ([]store, []Status) {
	if n := m.nixOS(); n != nil && !m.cfg.UserOnly {
		return []store{n}, nil
	}
	return nil, nil
}

func reopenNixOS(m *Machine, r receipt) store {
	if n := (&nixOS{bundle: m.at("/etc/ssl/certs/ca-certificates.crt")}); n.bundle == r.Location {
		return n
	}
	return nil
}

func (n *nixOS) kind() string { return kindNixOS }

func (n *nixOS) label() (name, location string) { return "System", n.bundle }

func (n *nixOS) verify(_ context.Context, a anchor) (finding, error) {
	in, err := readBundle(n.bundle)
	if err != nil {
		return finding{}, err
	}
	if in.find(a.sum) != nil {
		return finding{state: Trusted, roots: in.pool()}, nil
	}
	return finding{state: NotTrusted, detail: "NixOS builds this store from its configuration", fix: n.line(a)}, nil
}

// line tells what to write. A file outside the configuration is copied into
// the system when that is built.
func (n *nixOS) line(a anchor) string {
	file := a.file
	if file == "" {
		file = "root.pem"
	}
	return fmt.Sprintf("add security.pki.certificateFiles = [ %q ]; to /etc/nixos/configuration.nix, then run %s",
		file, elevate.Command{"sudo", "nixos-rebuild", "switch"})
}

func (n *nixOS) plan(_ context.Context, a anchor) []Step {
	return []Step{noteStep(n, n.install(context.Background(), a))}
}

func (n *nixOS) install(_ context.Context, a anchor) error {
	return &problem{detail: "NixOS builds this store from its configuration", fix: n.line(a)}
}

func (n *nixOS) planRemove(ctx context.Context, as []anchor) []Step {
	var steps []Step
	for _, a := range as {
		if left, err := n.gone(ctx, a); err == nil && left.state == Trusted {
			name, location := n.label()
			steps = append(steps, Step{Store: name, Location: location, Note: join(left.detail, left.fix)})
		}
	}
	return steps
}

func (n *nixOS) remove(context.Context, []anchor) (removed bool, err error) { return false, nil }

func (n *nixOS) gone(ctx context.Context, a anchor) (finding, error) {
	f, err := n.verify(ctx, a)
	if err != nil {
		return finding{}, err
	}
	if f.state != Trusted {
		return finding{state: NotTrusted}, nil
	}
	f.detail = "NixOS builds this store from its configuration, and the root is in it"
	f.fix = "take the root out of security.pki.certificateFiles, then run sudo nixos-rebuild switch"
	return f, nil
}
