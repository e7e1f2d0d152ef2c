package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"devproxy/internal/issuer"
	"devproxy/internal/proxy"
)

// drainTime is how long requests may take to finish after Ctrl-C. WebSockets
// and event streams never finish by themselves; a second Ctrl-C does not wait.
const drainTime = 5 * time.Second

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve [HOST[/PATH]=TARGET ...]",
		Short: "Serve the routes (the default command)",
		Long: `Serve the routes of devproxy.toml and those given as arguments. Changes of the
file apply at once; arguments win over it. Ctrl-C lets running requests finish
for a few seconds; a second one does not wait.

If the CA's key has a passphrase it is asked for first, or read from the file
that ` + passphraseFileVar + ` names or from the credential of systemd.`,
		Example: `  devproxy serve
  devproxy serve shop.localhost=5173 shop.localhost/api=http://127.0.0.1:8000`,
		Args: func(_ *cobra.Command, args []string) error { return nil }, // each is checked as a route
		RunE: func(cmd *cobra.Command, args []string) error { return a.serve(cmd.Context(), args) },
	}
}

// serve runs until ctx ends. It listens before it does anything that takes
// time, and nothing in it waits for trust.
func (a *app) serve(ctx context.Context, args []string) error {
	o, err := a.open(args)
	if err != nil {
		return err
	}
	state, src, cfg := o.state, o.source, o.cfg
	level := zap.NewAtomicLevel()
	setLevel(level, cfg.Log.Level)
	queue := newLogQueue(a.stderr)
	defer queue.close()
	log := newLogger(queue, cfg.Log, level)
	defer takeStandardLog(log)()

	// The passphrase is asked for before the ports: who connects would wait. A CA
	// is made only where the table can tell of it: after them.
	known, err := a.unlockExisting(ctx, state)
	if err != nil {
		return err
	}
	open, err := listen(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer open.close()
	ca, created, err := issuer.LoadOrCreate(state, cfg.Domains)
	if err != nil {
		return a.caError(err)
	}
	if ca, err = unlockKnown(ca, known); err != nil {
		return err
	}
	a.backends.use(ca)
	table, err := proxy.NewTable(a.backends.routes(cfg))
	if err != nil {
		return err
	}
	iss, err := issuer.New(ca, issuer.Config{Permit: permitCovered(table), Logger: log})
	if err != nil {
		return err
	}
	access := &atomic.Bool{}
	access.Store(cfg.Log.Access)
	revoked := newRevocations(a, state, ca, log)
	keys := &keyLogSwitch{log: log}
	defer keys.use("")
	server, err := proxy.New(proxy.Config{
		Table:            table,
		GetCertificate:   iss.GetCertificate,
		VerifyConnection: iss.VerifyConnection,
		KeyLog:           keys.writer,
		TrustHint:        a.trustHint,
		RefuseClient:     revoked.refuse,
		ClientHint:       a.clientHint,
		AccessLog:        access.Load,
		Logger:           log,
	})
	if err != nil {
		return err
	}
	defer reserveHeap(a.env)()
	live := &live{
		app: a, source: src, state: state, start: cfg, cfg: cfg, ca: ca, log: log, level: level,
		table: table, server: server, issuer: iss, revoked: revoked, keys: keys, access: access,
	}

	keys.use(cfg.KeyLog)

	// Everything started below ends with running, and is waited for.
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	failed := make(chan error, len(open.https)+len(open.redirect))
	for _, ln := range open.https {
		wg.Go(func() { failed <- server.Serve(ln) })
	}
	for _, ln := range open.redirect {
		wg.Go(func() { failed <- server.ServeRedirect(ln, open.port()) })
	}
	warnAbout(cfg, log)
	log.Info("serving", zap.String("file", cfg.File), zap.Int("routes", len(cfg.Routes)), zap.Uint16("port", open.port()))
	if warning := a.expiryWarning(ca, time.Now()); warning != "" {
		log.Warn("the CA ends soon", zap.String("problem", warning))
	}
	changes := live.watch(running, &wg)
	wg.Go(func() {
		a.announce(running, started{state, src, cfg, ca, created, open})
		comeToRest()
	})

	for {
		select {
		case change := <-changes:
			live.apply(change)
		case err := <-failed:
			if err != nil {
				shutdown(server, log)
				return err
			}
		case <-ctx.Done():
			log.Info("shutting down", zap.Duration("drain", drainTime))
			shutdown(server, log)
			return nil
		}
	}
}

// unlockExisting returns the CA that is there with its key, nil if there is none
// yet.
func (a *app) unlockExisting(ctx context.Context, state string) (*issuer.CA, error) {
	ca, err := issuer.Load(state)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, a.caError(err)
	}
	return a.unlock(ctx, ca)
}

// unlockKnown returns ca with its key, where known is the one that was there a
// moment ago.
func unlockKnown(ca, known *issuer.CA) (*issuer.CA, error) {
	switch {
	case known == nil && ca.Locked():
		return nil, withHint(errors.New("another process has just made a CA with a passphrase"), "try again")
	case known == nil:
		return ca, nil
	case known.Intermediate().Equal(ca.Intermediate()):
		return known, nil
	}
	return ca.UnlockAs(known)
}

// shutdown drains, then closes what is left.
func shutdown(server *proxy.Proxy, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		log.Warn("shutdown was not clean", zap.Error(err))
	}
}

// trustHint says what to do when a client rejects the certificate of host.
func (a *app) trustHint(host string) string {
	return fmt.Sprintf("run %s; for each client here: %s", a.command("trust"), a.command("doctor "+host))
}

// permitCovered asks the table whether a leaf for host is worth minting.
func permitCovered(table *proxy.Table) func(host string) error {
	errUnknown := errors.New("no route has this name or a sibling of it")
	return func(host string) error {
		if table.Covers(host) {
			return nil
		}
		return errUnknown
	}
}
