package trust

import (
	"context"
	"crypto/x509"
	"fmt"

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
	stores, notices := m.find(a)
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
	return steps, nil
}

// PlanRemove returns what Remove would do now. It changes nothing.
func (m *Machine) PlanRemove(ctx context.Context, known ...*x509.Certificate) ([]Step, error) {
	recorded, err := m.receipts.load()
	if err != nil {
		return nil, err
	}
	recorded = append(recorded, m.unrecorded(ctx, recorded, known)...)
	var steps []Step
	for _, g := range m.groups(recorded) {
		if g.store == nil {
			r := g.receipts[0]
			steps = append(steps, Step{Store: r.Store, Location: r.Location, Note: fmt.Sprintf("unknown kind of store %q", r.Kind)})
			continue
		}
		steps = append(steps, g.store.planRemove(ctx, g.anchors)...)
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
