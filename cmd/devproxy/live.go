package main

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"devproxy/internal/config"
	"devproxy/internal/issuer"
	"devproxy/internal/ledger"
	"devproxy/internal/proxy"
	"devproxy/internal/trust"
	"devproxy/internal/watch"
)

// A change is something on disk that a running server follows.
type change int

const (
	changedConfig change = iota
	changedCA
	changedTrust
	changedLedger
	changedSystemRoots
)

// live is the part of a running server that follows its files. Its methods
// run on one goroutine, but for watch's callbacks.
type live struct {
	app    *app
	source *source
	state  string
	start  *config.Config // what it was started with
	cfg    *config.Config // what runs now
	ca     *issuer.CA

	rejected bool // the file has mistakes at the moment
	log      *zap.Logger
	level    zap.AtomicLevel

	table   *proxy.Table
	server  *proxy.Proxy
	issuer  *issuer.Issuer
	revoked *revocations
	keys    *keyLogSwitch
	access  *atomic.Bool
}

// watch reports changes until ctx ends.
func (l *live) watch(ctx context.Context, wg *sync.WaitGroup) <-chan change {
	changes := make(chan change)
	follow := func(what change, paths ...string) {
		tell := func() {
			select {
			case changes <- what:
			case <-ctx.Done():
			}
		}
		wg.Go(func() {
			cfg := watch.Config{Paths: paths, Logger: l.log}
			if what != changedTrust { // of that only the moment matters
				// What changed before the watch stood is found by looking
				// once more when it does.
				cfg.Armed = tell
			}
			err := watch.Run(ctx, cfg, tell)
			if err != nil {
				l.log.Error("changes are not seen: restart devproxy to apply them", zap.Strings("files", paths), zap.Error(err))
			}
		})
	}
	follow(changedConfig, l.source.watched...)
	follow(changedCA, issuer.Path(l.state))
	follow(changedTrust, trust.ReceiptsPath(l.state))
	follow(changedLedger, ledger.Path(l.state))
	if file := clientBundles(l.state, l.ca.Root()).SystemFile(); file != "" {
		follow(changedSystemRoots, file)
	}
	return changes
}

func (l *live) apply(c change) {
	switch c {
	case changedConfig:
		l.reload()
		giveBackGarbage()
	case changedCA:
		l.reloadCA()
	case changedTrust:
		// Chromium caches verdicts per leaf (clients.md §4): only another
		// leaf makes it ask again.
		l.issuer.Forget()
		l.log.Info("trust changed, leaves are minted anew")
	case changedLedger:
		if l.revoked.load() {
			l.server.RecheckClients()
		}
	case changedSystemRoots:
		l.refreshBundles()
	}
}

// reload applies the file. If it has a mistake, all stays as it is.
func (l *live) reload() {
	next, err := l.load()
	switch {
	case errors.Is(err, config.ErrEmpty):
		l.log.Debug("the file is empty, taken for a save in progress", zap.String("file", l.source.file))
		return
	case errors.Is(err, fs.ErrNotExist):
		l.log.Warn("the file is gone, its routes stay", zap.String("file", l.source.file))
		return
	case err != nil:
		l.reject(err)
		return
	}
	if reflect.DeepEqual(next, l.cfg) {
		if l.rejected {
			l.rejected = false
			l.log.Info("the file says again what runs", zap.String("file", next.File))
		}
		return
	}
	if err := l.table.Replace(l.app.backends.routes(next)); err != nil {
		l.reject(err)
		return
	}
	warnAbout(next, l.log)
	setLevel(l.level, next.Log.Level)
	l.access.Store(next.Log.Access)
	l.keys.use(next.KeyLog)
	l.needsRestart(next)
	l.log.Info("routes reloaded", zap.String("file", next.File), zap.Int("routes", len(next.Routes)))
	l.cfg, l.rejected = next, false
}

// load reads the file and checks it against the CA that runs, whatever lies on
// disk: if that is another one by now, its own change comes next.
func (l *live) load() (*config.Config, error) {
	next, err := l.source.load()
	if err != nil {
		return nil, err
	}
	return next, checkPermitted(next, l.ca.Constraints(), l.app.permitHint(next, true))
}

// reject logs every mistake of a file; the running routes stay.
func (l *live) reject(err error) {
	l.rejected = true
	mistakes := config.Errors(err)
	if len(mistakes) == 0 {
		l.log.Error("the file was not applied, the running routes stay", zap.String("file", l.source.file), zap.Error(err))
	}
	for _, m := range mistakes {
		l.log.Error("the file was not applied, the running routes stay",
			zap.String("file", m.File), zap.Int("line", m.Line), zap.String("problem", m.Error()), zap.String("hint", m.Hint))
	}
}

// needsRestart names the settings of next that apply at the next start only.
func (l *live) needsRestart(next *config.Config) {
	for _, setting := range []struct {
		name    string
		differs bool
	}{
		{"listen", !slices.Equal(next.Listen, l.start.Listen)},
		{"redirect", !reflect.DeepEqual(next.Redirect, l.start.Redirect)}, // unset is not off
		{"log.format", next.Log.Format != l.start.Log.Format},
	} {
		if setting.differs {
			l.log.Warn("this setting changes at the next start of devproxy", zap.String("setting", setting.name))
		}
	}
	if missing := l.ca.Constraints().Missing(next.Domains); len(missing) > 0 {
		l.log.Warn("the CA was made without these domains", zap.Strings("domains", missing), zap.String("hint", "run "+l.app.command("ca rotate")))
	}
}

// reloadCA follows "ca rotate" and "trust".
func (l *live) reloadCA() {
	ca, err := issuer.Load(l.state)
	if errors.Is(err, fs.ErrNotExist) {
		l.log.Error("the CA on disk is gone, the one in memory stays until the next start makes a new one")
		return
	}
	if err != nil {
		l.log.Error("the CA on disk cannot be used, the one in memory stays", zap.Error(err))
		return
	}
	if ca.Root().Equal(l.ca.Root()) {
		return // as if only its passphrase is another
	}
	if ca, err = l.unlock(ca); err != nil {
		l.log.Error("the new CA cannot be opened, the one in memory stays: restart devproxy", zap.Error(err))
		return
	}
	l.issuer.Use(ca)
	l.revoked.use(ca)
	l.app.backends.use(ca)
	l.server.RecheckClients()
	l.ca = ca
	l.log.Info("CA loaded, leaves are minted anew", zap.String("fingerprint", fingerprint(ca.Root())))
	l.refreshBundles()
	l.reload() // routes refused before may be within its constraints
}

// unlock opens the CA that has replaced the running one: nobody can be asked, but
// a rotation keeps the passphrase, and one that is kept in a file may be there.
func (l *live) unlock(ca *issuer.CA) (*issuer.CA, error) {
	open, err := ca.UnlockAs(l.ca)
	if !errors.Is(err, issuer.ErrPassphrase) {
		return open, err
	}
	if open, tried, err := l.app.unlockUnasked(ca); tried {
		return open, err
	}
	return nil, errors.New("its key has a passphrase that this devproxy was not given")
}

// refreshBundles brings the files that shells got from env in line with the CA
// and with the system's roots.
func (l *live) refreshBundles() {
	warnings, err := clientBundles(l.state, l.ca.Root()).Refresh()
	for _, w := range warnings {
		l.log.Warn("a file for clients is not as it was asked for", zap.String("problem", w))
	}
	if err != nil {
		l.log.Warn("the files for clients were not brought up to date", zap.Error(err))
	}
}

// warnAbout logs what works but may surprise.
func warnAbout(cfg *config.Config, log *zap.Logger) {
	for _, w := range cfg.Warnings {
		log.Warn("the file has something to look at", zap.String("file", w.File), zap.Int("line", w.Line), zap.String("problem", w.Error()), zap.String("hint", w.Hint))
	}
}
