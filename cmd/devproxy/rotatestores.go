package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"devproxy/internal/elevate"
	"devproxy/internal/issuer"
	"devproxy/internal/trust"
)

// takeBackTime bounds taking a root out again, also after Ctrl-C.
const takeBackTime = 30 * time.Second

// A place is a store as Status and Step name it.
type place struct{ store, location string }

// holders are the stores that trust or may trust a root of ours.
type holders struct {
	any  bool
	must []place // those that have to trust the new root, or clients would fail
}

// holders asks every store, also those that the flags leave out, about the
// root of old, and the receipts about those that do not say. What a store holds
// is enough here: a handshake would prove nothing about the new root. An old
// that is nil cannot serve anyone, so nothing depends on it.
func (r *rotation) holders(ctx context.Context, old *issuer.CA) (h holders, err error) {
	every := r.flags.trustFlags
	every.userOnly = false
	stores, err := r.open(nil, every)
	if err != nil {
		return h, err
	}
	steps, err := stores.PlanRemove(ctx)
	if err != nil {
		return h, err
	}
	h.any = len(steps) > 0
	if old == nil {
		return h, nil
	}
	receipted := make(map[place]bool) // false if there is only something to say
	for _, s := range steps {
		if s.Store != "Receipts" {
			at := place{s.Store, s.Location}
			receipted[at] = receipted[at] || s.Note == ""
		}
	}
	for _, s := range stores.Status(ctx, old.Root()) {
		at := place{s.Store, s.Location}
		_, known := receipted[at]
		delete(receipted, at)
		if s.State == trust.Trusted || s.State == trust.Unknown && known {
			h.any = true
			h.must = append(h.must, at)
		}
	}
	for _, s := range steps { // such as Java's, which is looked at on request
		if at := (place{s.Store, s.Location}); receipted[at] {
			delete(receipted, at)
			h.must = append(h.must, at)
		}
	}
	return h, nil
}

// trustNew makes the stores trust the new root. Where one of must does not in
// the end, the old CA stays in force.
func (r *rotation) trustNew(ctx context.Context, p *issuer.Pending, must []place) ([]trust.Status, error) {
	a := r.app
	stores, err := r.open(p.CA(), r.flags.trustFlags)
	if err != nil {
		return nil, err
	}
	found, err := stores.Install(ctx, p.CA().Root(), p.RootPath())
	if err == nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if err != nil {
		r.takeBack(ctx, p)
		return nil, err
	}
	missing, commands := lacking(found, must)
	if len(missing) == 0 {
		return found, nil
	}
	found = append(found, r.unasked(found, missing)...)
	if r.flags.force {
		return found, nil
	}
	a.storeTable(found, a.trustWord)
	stays := fmt.Errorf("%w: the old CA stays in force, since the new root is not trusted by %s, where the old one is", errTrustIncomplete, names(missing))
	if commands {
		// They name the new root, so that has to stay, and so has what is
		// recorded of it: untrust finds it.
		return nil, withHint(stays, "once the commands above were run, %s goes on with this root, for a day; %s does not wait for them",
			a.command("ca rotate"), a.command("ca rotate --force"))
	}
	r.takeBack(ctx, p)
	return nil, withHint(stays, "the new root was taken out again: mend that store and run %s again, or replace the CA all the same with %s",
		a.command("ca rotate"), a.command("ca rotate --force"))
}

// lacking returns those of must that do not trust the new root, and whether
// commands would mend one of them.
func lacking(found []trust.Status, must []place) (missing []place, commands bool) {
	for _, at := range must {
		i := slices.IndexFunc(found, func(s trust.Status) bool { return place{s.Store, s.Location} == at })
		if i >= 0 && found[i].State == trust.Trusted {
			continue
		}
		missing = append(missing, at)
		commands = commands || i >= 0 && len(found[i].Commands) > 0
	}
	return missing, commands
}

// unasked returns a line for each of missing that found does not have.
func (r *rotation) unasked(found []trust.Status, missing []place) []trust.Status {
	fix := "name it: --java takes in the key store of a Java installation"
	if r.flags.userOnly {
		fix = "leave --user out: it passes over what needs root"
	}
	var all []trust.Status
	for _, at := range missing {
		if !slices.ContainsFunc(found, func(s trust.Status) bool { return place{s.Store, s.Location} == at }) {
			all = append(all, trust.Status{
				Store:    at.store,
				Location: at.location,
				State:    trust.NotTrusted,
				Detail:   "holds the old root and was not asked",
				Fix:      fix,
			})
		}
	}
	return all
}

func names(places []place) string {
	var all []string
	for _, p := range places {
		if !slices.Contains(all, p.store) {
			all = append(all, p.store)
		}
	}
	return strings.Join(all, ", ")
}

// moved returns found with what people are told of the file of the new root
// at the path where it stays.
func moved(found []trust.Status, from, to string) []trust.Status {
	all := slices.Clone(found)
	for i, s := range all {
		all[i].Detail = strings.ReplaceAll(s.Detail, from, to)
		all[i].Fix = strings.ReplaceAll(s.Fix, from, to)
		all[i].Commands = nil
		for _, c := range s.Commands {
			c := slices.Clone(c)
			for n := range c {
				c[n] = strings.ReplaceAll(c[n], from, to)
			}
			all[i].Commands = append(all[i].Commands, elevate.Command(c))
		}
	}
	return all
}

// takeBack takes the new root out of the stores and forgets the new CA, after
// an error that is what people have to be told first.
func (r *rotation) takeBack(ctx context.Context, p *issuer.Pending) {
	defer r.discard(p)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTime)
	defer cancel()
	stores, err := r.open(nil, r.flags.trustFlags)
	if err != nil {
		r.app.ui.warn(err.Error())
		return
	}
	found, err := stores.RemoveOnly(ctx, p.CA().Root())
	if err != nil {
		r.app.ui.warn("take out the new root: " + err.Error())
	}
	if left := notClean(found); len(left) > 0 {
		r.app.storeTable(left, r.oldWord)
		r.app.ui.warn("the new root is left in a store; nobody can use it, for its key is gone, and " + r.app.command("untrust") + " takes it out, too")
	}
}

func (r *rotation) discard(p *issuer.Pending) {
	if err := p.Discard(); err != nil {
		r.app.ui.warn(err.Error())
	}
}

// notClean returns what is not as wanted after a removal.
func notClean(found []trust.Status) []trust.Status {
	return slices.DeleteFunc(slices.Clone(found), func(s trust.Status) bool { return s.State == trust.NotTrusted })
}

// untrustOld takes out every root but that of ca, once the servers use ca.
func (r *rotation) untrustOld(ctx context.Context, ca *issuer.CA, servers []netip.AddrPort) error {
	a := r.app
	after := fmt.Sprintf("later, %s and %s leave the new root only", a.command("untrust"), a.command("trust"))
	late := awaitSwitch(ctx, servers, ca.Root(), r.patience)
	switch {
	case ctx.Err() != nil:
		return withHint(fmt.Errorf("%w: the new CA is in force, and the old root is still trusted", errInterrupted), "%s", after)
	case len(late) > 0:
		return withHint(fmt.Errorf("%w: the devproxy at %s still uses the old root, which therefore stays trusted", errTrustIncomplete, late[0]),
			"restart it; %s", after)
	}
	stores, err := r.open(nil, r.flags.trustFlags)
	if err != nil {
		return err
	}
	found, err := stores.RemoveOthers(ctx, ca.Root())
	if err != nil {
		return withHint(fmt.Errorf("take out the old root: %w", err), "%s", after)
	}
	if left := notClean(found); len(left) > 0 {
		a.storeTable(left, r.oldWord)
		return fmt.Errorf("%w: the new root is in force, and the old one could not be taken out everywhere", errTrustIncomplete)
	}
	if len(found) > 0 {
		a.printf("the old root was taken out again\n")
	}
	return nil
}

func (r *rotation) oldWord(s trust.Status) cell {
	if s.State == trust.Trusted {
		return r.app.ui.mark(false, "still trusted")
	}
	return cell{"cannot tell", yellow}
}
