package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"
)

// Remove takes out everything that the receipts name, whichever root it was.
// A receipt is dropped once nothing of its root is left in the store. With no
// receipts there is nothing to do and no Status.
func (m *Machine) Remove(ctx context.Context) ([]Status, error) {
	return m.remove(ctx, func(receipt) bool { return true })
}

// RemoveOthers is Remove for every root but keep: those that keep supersedes.
func (m *Machine) RemoveOthers(ctx context.Context, keep *x509.Certificate) ([]Status, error) {
	sum := fingerprint(sha256.Sum256(keep.Raw))
	return m.remove(ctx, func(r receipt) bool { return r.sum() != sum })
}

// RemoveOnly is Remove for one root.
func (m *Machine) RemoveOnly(ctx context.Context, root *x509.Certificate) ([]Status, error) {
	sum := fingerprint(sha256.Sum256(root.Raw))
	return m.remove(ctx, func(r receipt) bool { return r.sum() == sum })
}

func (m *Machine) remove(ctx context.Context, which func(receipt) bool) ([]Status, error) {
	if _, err := os.Stat(m.receipts.file()); err != nil && len(m.receipts.aside()) == 0 {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	unlock, err := m.receipts.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	recorded, err := m.receipts.loadOrSetAside()
	if err != nil {
		return nil, err
	}
	var all []Status
	recorded = slices.DeleteFunc(recorded, func(r receipt) bool { return !which(r) })
	for _, g := range m.groups(recorded) {
		all = append(all, m.removeFrom(ctx, g))
	}
	for _, file := range m.receipts.aside() {
		all = append(all, Status{
			Store:    "Receipts",
			Location: file,
			Detail:   "damaged receipts, kept aside: they may name roots that are still trusted",
			Fix:      "look into the file, remove what it names, then delete it",
		})
	}
	return all, nil
}

func (m *Machine) removeFrom(ctx context.Context, g group) Status {
	if g.store == nil {
		return Status{
			Store:    g.receipts[0].Store,
			Location: g.receipts[0].Location,
			Detail:   fmt.Sprintf("this devproxy does not know stores of kind %q", g.receipts[0].Kind),
			Fix:      "use the devproxy that put the root there, or a newer one",
		}
	}
	// Looking first spares the privilege where nothing has to be done.
	st, clean := m.leftIn(ctx, g)
	if clean {
		return st
	}
	removed, removeErr := g.store.remove(ctx, g.anchors)
	st, clean = m.leftIn(ctx, g)
	st.Changed = clean && removed
	if p, ok := errors.AsType[*problem](removeErr); ok && !clean {
		st.Detail, st.Fix, st.Commands = p.detail, p.fix, p.commands
	} else if removeErr != nil && !clean {
		st.Detail = removeErr.Error()
	}
	m.log.Info("store changed", zap.String("store", st.Store), zap.String("file", st.Location),
		zap.Stringer("state", st.State), zap.Error(removeErr))
	return st
}

// leftIn returns the worst that is left of g's roots and drops the receipts of
// those that are gone.
func (m *Machine) leftIn(ctx context.Context, g group) (worst Status, clean bool) {
	worst = status(g.store, finding{state: NotTrusted}, nil)
	clean = true
	for i, a := range g.anchors {
		left, err := g.store.gone(ctx, a)
		if err == nil && left.state == NotTrusted {
			if err = m.receipts.drop(g.receipts[i]); err == nil {
				if worst.Detail == "" {
					worst.Detail = left.detail
				}
				continue
			}
			err = fmt.Errorf("nothing is left, but the receipt stays: %v", err)
		}
		clean = false
		if st := status(g.store, left, err); worst.State != Trusted {
			worst = st
		}
	}
	return worst, clean
}

// A group is the receipts of one store.
type group struct {
	store    store // nil if this version does not know the kind
	receipts []receipt
	anchors  []anchor // one for each receipt
}

// groups orders receipts by store, so that each store is worked on once.
func (m *Machine) groups(recorded []receipt) []group {
	type place struct{ kind, location string }
	index := make(map[place]int)
	var all []group
	for _, r := range recorded {
		p := place{r.Kind, r.Location}
		i, ok := index[p]
		if !ok {
			i = len(all)
			index[p] = i
			all = append(all, group{store: m.reopen(r)})
		}
		all[i].receipts = append(all[i].receipts, r)
		all[i].anchors = append(all[i].anchors, anchor{sum: r.sum(), name: r.Name})
	}
	return all
}
