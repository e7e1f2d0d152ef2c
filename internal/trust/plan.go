package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"devproxy/internal/elevate"
)

// A Step is one change that Install or Remove would make: a file or folder
// that devproxy itself writes, a command, or, with neither, a Note on what
// stands in the way.
type Step struct {
	Store      string
	Location   string
	File       string
	Command    elevate.Command
	Privileged bool // Command runs as root
	Note       string
}

// Plan returns what Install would do now. It changes nothing.
func (m *Machine) Plan(ctx context.Context, root *x509.Certificate, rootPath string) ([]Step, error) {
	a, err := newAnchor(root, rootPath)
	if err != nil {
		return nil, err
	}
	return m.planAll(ctx, a, m.find), nil
}

func (m *Machine) planAll(ctx context.Context, a anchor, find func(anchor) ([]store, []Status)) []Step {
	stores, notices := find(a)
	var steps []Step
	for _, s := range stores {
		found, err := m.verify(ctx, s, a)
		if err == nil && found.state == Trusted {
			continue
		}
		if err != nil {
			steps = append(steps, noteStep(s, err))
			continue
		}
		steps = append(steps, s.plan(ctx, a)...)
	}
	steps = m.withReceipts(steps)
	for _, n := range notices {
		steps = append(steps, Step{Store: n.Store, Location: n.Location, Note: join(n.Detail, n.Fix)})
	}
	return steps
}

// PlanRemove returns what Remove would do now. It changes nothing.
func (m *Machine) PlanRemove(ctx context.Context, known ...*x509.Certificate) ([]Step, error) {
	return m.planRemove(ctx, known, func(receipt) bool { return true })
}

func (m *Machine) planRemove(ctx context.Context, known []*x509.Certificate, which func(receipt) bool) ([]Step, error) {
	recorded, err := m.receipts.load()
	if err != nil {
		return nil, err
	}
	recorded = append(recorded, m.unrecorded(ctx, recorded, known)...)
	recorded = slices.DeleteFunc(recorded, func(r receipt) bool { return !which(r) })
	var steps []Step
	groups := m.groups(recorded)
	for i, g := range groups {
		if g.store == nil {
			r := g.receipts[0]
			steps = append(steps, Step{Store: r.Store, Location: r.Location, Note: fmt.Sprintf("unknown kind of store %q", r.Kind)})
			continue
		}
		as := g.anchors
		for _, before := range groups[:i] {
			if before.receipts[0].sharesPlace(g.receipts[0]) {
				for _, a := range before.anchors {
					a.elsewhere = true
					as = append(as, a)
				}
			}
		}
		steps = append(steps, g.store.planRemove(ctx, as)...)
	}
	if len(recorded) > 0 {
		steps = m.withReceipts(steps)
	}
	return steps, nil
}

// withReceipts puts the write of the receipts before steps that change
// anything.
func (m *Machine) withReceipts(steps []Step) []Step {
	for _, s := range steps {
		if s.Note == "" {
			file := m.receipts.file()
			return append([]Step{{Store: "Receipts", Location: file, File: file}}, steps...)
		}
	}
	return steps
}

func noteStep(s store, err error) Step {
	st := status(s, finding{}, err)
	return Step{Store: st.Store, Location: st.Location, Note: join(st.Detail, st.Fix)}
}

func join(detail, fix string) string {
	if fix == "" {
		return detail
	}
	return detail + "; " + fix
}
