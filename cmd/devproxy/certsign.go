package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/atomicfile"
	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
)

type certSignFlags struct {
	life
	client   bool
	certFile string
	force    bool
}

func (a *app) certSignCommand() *cobra.Command {
	var flags certSignFlags
	cmd := &cobra.Command{
		Use:   "sign CSR",
		Short: "Sign a certificate signing request",
		Long: `Have the CA sign a certificate signing request (CSR), PEM or DER; - reads it from
standard input. Of the request only the key and the names are taken, and the
names have to lie within what the CA may sign for. What else it asks for is left
out, and said.

The certificate file also holds the intermediate, as servers have to send it. It
is named after the request.`,
		Example: `  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout shop-key.pem \
    -subj / -addext subjectAltName=DNS:shop.localhost -out shop.csr
  devproxy cert sign shop.csr`,
		Args: a.oneArg("request", "such as: %s", "cert sign shop.csr"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.certSign(cmd.Context(), args[0], flags) },
	}
	cmd.Flags().BoolVar(&flags.client, "client", false, "issue it for a client")
	flags.life.add(cmd)
	cmd.Flags().StringVar(&flags.certFile, "cert-file", "", "write the certificates to this `file`")
	addForce(cmd, &flags.force)
	return cmd
}

func (a *app) certSign(ctx context.Context, path string, flags certSignFlags) error {
	if err := flags.life.check(); err != nil {
		return err
	}
	input, usual := path, strings.TrimSuffix(path, filepath.Ext(path))+".pem"
	if path == stdinName {
		if flags.certFile == "" {
			return withHint(usagef("a request from standard input has no name to call the certificate after"), "name it with --cert-file")
		}
		input, usual = "", ""
	}
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	csr, err := a.readRequest(ctx, path)
	if err != nil {
		return err
	}
	if err := issuer.CheckRequest(csr, flags.client); err != nil {
		return a.issueError(err)
	}
	out := &certOutputs{force: flags.force}
	certOut := out.add("cert-file", flags.certFile, usual, "certificate and intermediate", publicPerm)
	if err := out.check(input, state); err != nil {
		return err
	}
	state, ca, err := a.certCA(ctx)
	if err != nil {
		return err
	}
	issued, err := ca.SignRequest(csr, flags.client, flags.duration(), time.Now())
	if err != nil {
		return a.issueError(err)
	}
	certOut.data = chainPEM(issued)
	entry := entryOf(issued.Certificate, flags.client)
	if err := a.handOut(ctx, state, ca, entry, out); err != nil {
		return err
	}
	next := [][2]string{{"use", "it together with the key that the request was made with"}}
	if !flags.client {
		next = append(next, [2]string{"clients", "need the root: " + issuer.RootPath(state)})
	}
	a.printIssued(issued, entry.Names, out, next)
	return nil
}

// readRequest returns the content of a file, or of standard input.
func (a *app) readRequest(ctx context.Context, path string) ([]byte, error) {
	called, data, err := a.readInput(ctx, path)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return nil, withHint(fmt.Errorf("read the request %s: there is no such file", called),
			"%s makes one, with a key", a.command("cert request NAME"))
	case err != nil:
		return nil, fmt.Errorf("read the request %s: %w", called, atomicfile.Cause(err))
	case len(data) == 0:
		return nil, fmt.Errorf("read the request %s: it is empty", called)
	case len(data) > certfile.MaxSize:
		return nil, fmt.Errorf("read the request %s: it has more than %d bytes, so it is none", called, certfile.MaxSize)
	}
	return data, nil
}
