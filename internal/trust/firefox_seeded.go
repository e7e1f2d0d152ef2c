//go:build linux

package trust

import (
	"context"
	"slices"
)

// A seededStore is the database of a profile that devproxy makes, or has made,
// for a Firefox that was never started. What is left unused goes away with the
// last root.
type seededStore struct {
	store // the database
	seed  profileSeed

	// empty reports whether the database holds nothing besides these roots. A
	// missing database is empty.
	empty func(ctx context.Context, but []anchor) (bool, error)
}

func (m *Machine) seededStore(name string, seed profileSeed) *seededStore {
	return &seededStore{
		store: m.database(name, seed.dir),
		seed:  seed,
		empty: func(ctx context.Context, but []anchor) (bool, error) { return unusedDatabase(ctx, seed.dir, but) },
	}
}

// forClients returns the same as the place of client certificates.
func (s *seededStore) forClients() *seededStore {
	d, ok := s.store.(*database)
	if !ok {
		return s
	}
	c := *s
	c.store = clientDatabase{d}
	return &c
}

// reopenBrowser returns the database that a receipt speaks of.
func reopenBrowser(m *Machine, r receipt) store {
	if seed := (profileSeed{r.Location}); seed.unused() {
		return m.seededStore(r.Store, seed)
	}
	return reopenDatabase(m, r)
}

func (s *seededStore) plan(ctx context.Context, a anchor) []Step {
	steps := s.store.plan(ctx, a)
	if len(steps) == 1 && steps[0].Note != "" || !s.seed.possible() {
		return steps
	}
	name, _ := s.label()
	first := s.seed.plan(name)
	// The folder is made with the profile, not with the database.
	steps = slices.DeleteFunc(steps, func(step Step) bool {
		return step.File != "" && slices.ContainsFunc(first, func(f Step) bool { return f.File == step.File })
	})
	return append(first, steps...)
}

func (s *seededStore) install(ctx context.Context, a anchor) error {
	if !s.seed.unused() {
		if err := s.seed.prepare(); err != nil {
			return err
		}
	}
	err := s.store.install(ctx, a)
	if err != nil {
		// A profile without the root is of no use.
		if _, removeErr := s.clear(ctx); removeErr != nil {
			return removeErr
		}
	}
	return err
}

// clear takes the profile away if neither Firefox nor anybody else uses it.
func (s *seededStore) clear(ctx context.Context) (cleared bool, err error) {
	if !s.seed.unused() {
		return false, nil
	}
	if empty, err := s.empty(ctx, nil); err != nil || !empty {
		return false, err
	}
	return true, s.seed.remove()
}

func (s *seededStore) planRemove(ctx context.Context, as []anchor) []Step {
	steps := s.store.planRemove(ctx, as)
	if !s.seed.unused() || slices.ContainsFunc(steps, func(step Step) bool { return step.Note != "" }) {
		return steps
	}
	if empty, err := s.empty(ctx, as); err != nil || !empty {
		return steps
	}
	name, _ := s.label()
	return append(steps, s.seed.planRemove(name)...)
}

func (s *seededStore) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	removed, err = s.store.remove(ctx, as)
	if err != nil {
		return removed, err
	}
	cleared, err := s.clear(ctx)
	return removed || cleared, err
}

// gone counts an empty profile that nobody uses as something that is left.
func (s *seededStore) gone(ctx context.Context, a anchor) (finding, error) {
	left, err := s.store.gone(ctx, a)
	if err != nil || left.state != NotTrusted || !s.seed.unused() {
		return left, err
	}
	if empty, err := s.empty(ctx, nil); err != nil || !empty {
		return left, err
	}
	return finding{detail: "the profile that devproxy made and Firefox never used is still there"}, nil
}
