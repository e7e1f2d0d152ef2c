package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"go.uber.org/zap"
)

// Install makes root, whose PEM file is at rootPath, trusted in every store
// found. Stores that trust it already are left alone: a second run changes
// nothing and asks nobody for privilege. The error says that nothing could be
// tried at all; what went wrong in one store is in its Status.
func (m *Machine) Install(ctx context.Context, root *x509.Certificate, rootPath string) ([]Status, error) {
	a, err := newAnchor(root, rootPath)
	if err != nil {
		return nil, err
	}
	return m.installInAll(ctx, a, m.find)
}

// installInAll installs in each of the stores that find returns.
func (m *Machine) installInAll(ctx context.Context, a anchor, find func(anchor) ([]store, []Status)) ([]Status, error) {
	if err := os.MkdirAll(m.cfg.State, 0o700); err != nil {
		return nil, fmt.Errorf("create state folder: %w", err)
	}
	unlock, err := m.receipts.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m.refused = nil
	if _, err := m.receipts.loadOrSetAside(); err != nil {
		return nil, err
	}
	stores, notices := find(a)
	var all []Status
	for _, s := range stores {
		all = append(all, m.installIn(ctx, s, a))
	}
	return append(all, notices...), nil
}

func (m *Machine) installIn(ctx context.Context, s store, a anchor) Status {
	found, err := m.verify(ctx, s, a)
	if err != nil {
		return status(s, finding{}, err)
	}
	// A store that holds the root and still fails the handshake would hold it
	// no better for a second time.
	if found.state == Trusted || found.disproved {
		return status(s, m.confirm(s, a, found), nil)
	}
	// First the receipt: a root that nobody remembers is worse than a receipt
	// for nothing.
	if err := m.receipts.add(receiptOf(s, a)); err != nil {
		found.detail = fmt.Sprintf("left alone, since the change cannot be recorded: %v", err)
		return status(s, found, nil)
	}
	installErr := s.install(ctx, a)
	if found, err = m.verify(ctx, s, a); err == nil && found.state != Trusted {
		err = installErr
		if found.detail == "" {
			found.detail = "the change had no effect"
		}
	}
	st := status(s, m.confirm(s, a, found), err)
	st.Changed = st.State == Trusted
	m.log.Info("store changed", zap.String("store", st.Store), zap.String("file", st.Location),
		zap.Stringer("state", st.State), zap.Error(installErr))
	return st
}

// confirm completes the receipt of a root that is trusted, and makes one where
// the state folder was lost: what has our name can be undone.
func (m *Machine) confirm(s store, a anchor, found finding) finding {
	if found.state == Trusted && found.ours {
		if err := m.receipts.confirm(receiptOf(s, a)); err != nil {
			found.detail = fmt.Sprintf("not recorded for removal: %v", err)
		}
	}
	return found
}
