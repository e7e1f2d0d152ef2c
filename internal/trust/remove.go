package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// Remove takes out everything that the receipts name, whichever root it was,
// and what has no receipt any more: roots in stores of the person's own that
// bear a name of ours, and those of known wherever a store is found. A receipt
// is dropped once nothing of its root is left in the store. With nothing to do
// there is no Status.
func (m *Machine) Remove(ctx context.Context, known ...*x509.Certificate) ([]Status, error) {
	return m.remove(ctx, known, func(receipt) bool { return true })
}

// RemoveOthers is Remove for every root but keep: those that keep supersedes.
func (m *Machine) RemoveOthers(ctx context.Context, keep *x509.Certificate) ([]Status, error) {
	sum := fingerprint(sha256.Sum256(keep.Raw))
	return m.remove(ctx, nil, func(r receipt) bool { return r.Kind != kindClient && r.sum() != sum })
}

// RemoveOnly is Remove for one root.
func (m *Machine) RemoveOnly(ctx context.Context, root *x509.Certificate) ([]Status, error) {
	sum := fingerprint(sha256.Sum256(root.Raw))
	return m.remove(ctx, nil, func(r receipt) bool { return r.sum() == sum })
}

func (m *Machine) remove(ctx context.Context, known []*x509.Certificate, which func(receipt) bool) ([]Status, error) {
	unlock := func() {}
	if isDir(m.cfg.State) { // else there are no receipts to take turns on
		var err error
		if unlock, err = m.receipts.lock(ctx); err != nil {
			if present(m.receipts.file()) || ctx.Err() != nil {
				return nil, err
			}
			unlock = func() {} // a folder that cannot be written and holds none
		}
	}
	defer unlock()
	m.refused = nil
	recorded, err := m.receipts.loadOrSetAside()
	if err != nil {
		return nil, err
	}
	recorded = append(recorded, m.unrecorded(ctx, recorded, known)...)
	recorded = slices.DeleteFunc(recorded, func(r receipt) bool { return !which(r) })
	var all []Status
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

// A strayer is a store of one person's alone: what has a name of ours there is
// that person's.
type strayer interface {
	strays(ctx context.Context) []anchor
}

// unrecorded returns what receipts would say of roots that today's stores hold
// and recorded does not name: the state folder was lost, say.
func (m *Machine) unrecorded(ctx context.Context, recorded []receipt, known []*x509.Certificate) []receipt {
	var lost []receipt
	stores, _ := m.find(anchor{})
	clients, _ := m.findClients(anchor{})
	stores = append(stores, clients...)
	for _, s := range stores {
		var as []anchor
		if own, ok := s.(strayer); ok {
			as = own.strays(ctx)
		}
		for _, root := range known {
			sum := fingerprint(sha256.Sum256(root.Raw))
			a := anchor{sum: sum, name: anchorName(sum)}
			if found, err := s.verify(ctx, a); err == nil && found.ours {
				as = append(as, a)
			}
		}
		for _, a := range as {
			r := receiptOf(s, a)
			if !slices.ContainsFunc(recorded, r.same) && !slices.ContainsFunc(lost, r.same) {
				lost = append(lost, r)
			}
		}
	}
	return lost
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
