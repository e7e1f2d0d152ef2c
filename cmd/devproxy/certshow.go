package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/certfile"
	"devproxy/internal/doctor"
)

// errShownRed ends cert show when what it showed is refused or damaged. The
// verdict already said why.
var errShownRed = errors.New("not all is well with it")

// showTime bounds the verdict on what is shown.
const showTime = 30 * time.Second

// showOptions are the flags of cert show.
type showOptions struct {
	name         string
	passwordFile string
	asJSON       bool
	asPEM        bool
}

func (a *app) certShowCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show FILE|HOST[:PORT]",
		Short: "Show the certificates a file holds or a server presents, and who accepts them",
		Long: `Show the certificates of a file, or those that a server presents, as a person
reads them, and say whether clients that trust this system's roots and
devproxy's accept them: if not, what OpenSSL, Python, Chromium and Firefox say,
and what to do. Keys, signing requests and revocation lists in a file are shown
as well; a private key itself never is.

FILE is PEM (with any text around), DER or PKCS#12; "-" is standard input. A
word that is a file here is that file; with ./ before it, it is nothing else.
HOST is asked on port 443. Names below localhost and those that devproxy.toml
routes are this machine's, on the port where devproxy listens.

The certificate of a file is judged for the first name in it, or for --name.
For a HOST, --name is what the server is asked for instead. With --pem nothing
is judged.

Exit code 0 if it is accepted, 1 if it is not or cannot be shown, 2 for wrong
usage.`,
		Example: `  devproxy cert show shop.localhost.pem
  devproxy cert show shop.localhost
  devproxy cert show example.com:8443 --json
  devproxy cert show shop.localhost --pem > chain.pem`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return withHint(usagef("there is nothing to show"), "name a file or a host: %s", a.command("cert show shop.localhost"))
			}
			return maxArgs(1)(nil, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.certShow(cmd.Context(), a.newExamination(), args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "judge it for this `name` or address")
	cmd.Flags().StringVar(&o.passwordFile, "password-file", "", "take the password of PKCS#12 from the first line of this `file`")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&o.asPEM, "pem", false, "print the certificates as PEM, and nothing else")
	return cmd
}

// A shown is what cert show looks at.
type shown struct {
	source  shownSource
	content *certfile.Content
	host    string // what the certificate is judged for, normalised; "" is what it says itself
}

func (a *app) certShow(ctx context.Context, e *examination, arg string, o showOptions) error {
	if o.asJSON && o.asPEM {
		return withHint(usagef("--json and --pem do not go together"), "choose one")
	}
	if o.name != "" {
		t, err := parseTarget(o.name)
		if err != nil || t.port != 0 || t.path != "" {
			return withHint(usagef("--name %q is not a host name or an address", o.name), "such as: --name shop.localhost")
		}
		o.name = t.host
	}
	s, err := e.look(ctx, arg, o)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	if o.asPEM {
		chain := s.content.Certificates
		if len(chain) == 0 {
			return withHint(errors.New("print PEM: there is no certificate in it"), "see what there is: leave --pem out")
		}
		_, err := a.stdout.Write(certfile.EncodeCertificates(chain...))
		return err
	}
	e.loadAuthority()
	now := time.Now()
	r := reportShown(s, now)
	ctx, cancel := context.WithTimeout(ctx, showTime)
	defer cancel()
	e.judge(ctx, s, &r, now)
	if errors.Is(ctx.Err(), context.Canceled) {
		return errInterrupted
	}
	if o.asJSON {
		if err := writeJSON(a.stdout, r); err != nil {
			return err
		}
	} else {
		a.printShown(r, now)
	}
	if !r.OK {
		return errShownRed
	}
	return nil
}

// look finds what arg names.
func (e *examination) look(ctx context.Context, arg string, o showOptions) (*shown, error) {
	file, err := fileMeant(arg)
	switch {
	case err != nil:
		return nil, err
	case file != "":
		s, err := e.app.lookAtFile(ctx, file, o)
		if t, notHost := parseTarget(file); err != nil && notHost == nil && strings.Contains(file, ".") && !isCertFile(file) {
			if _, hinted := errors.AsType[*hintedError](err); !hinted {
				err = withHint(err, "there is a file of that name here; for the host: %s", e.app.command("cert show https://"+strings.TrimPrefix(t.text, "https://")))
			}
		}
		return s, err
	}
	t, err := parseTarget(arg)
	if err != nil {
		return nil, err
	}
	if o.passwordFile != "" {
		return nil, withHint(usagef("--password-file does not go with a host"), "name a file in PKCS#12")
	}
	return e.lookAtServer(ctx, t, o)
}

// outcome returns whether nothing in checks is red.
func outcome(checks []doctor.Check) bool {
	for _, c := range checks {
		if c.State == doctor.Fail {
			return false
		}
	}
	return true
}
