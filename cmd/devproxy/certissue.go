package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/certfile"
	"devproxy/internal/elevate"
	"devproxy/internal/issuer"
)

// certIssueFlags are the flags of cert issue.
type certIssueFlags struct {
	life
	client       string
	p12          bool
	passwordFile string
	certFile     string
	keyFile      string
	p12File      string
	force        bool
}

func (a *app) certIssueCommand() *cobra.Command {
	var flags certIssueFlags
	cmd := &cobra.Command{
		Use:   "issue NAME... | issue --client NAME",
		Short: "Make a key and a certificate for a server or a client",
		Long: `Make a private key and a certificate that the CA signs, for a server that is
reached as each NAME: a host name, *. and a host name, or an IP address. With
--client it is for one client, a person or a program, to present.

The certificate file also holds the intermediate, as servers have to send it.
Files are named after the first name, and lie in this folder. An existing file
is only replaced with --force. devproxy itself needs none of this: it makes the
certificates for its routes by itself.`,
		Example: `  devproxy cert issue shop.localhost '*.shop.localhost'
  devproxy cert issue 127.0.0.1
  devproxy cert issue --client alice@example.com --p12`,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.p12 = flags.p12 || cmd.Flags().Changed(p12FileFlag)
			return a.certIssue(cmd.Context(), args, cmd.Flags().Changed("client"), flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.client, "client", "", "issue it for a client of this `name`")
	flags.life.add(cmd)
	f.BoolVar(&flags.p12, "p12", false, "also write key and certificates as PKCS#12, for browsers and Java; asks for a password")
	f.StringVar(&flags.passwordFile, "password-file", "", "take the password for PKCS#12 from the first line of this `file`")
	f.StringVar(&flags.certFile, "cert-file", "", "write the certificates to this `file`")
	f.StringVar(&flags.keyFile, keyFileFlag, "", "write the key to this `file`")
	f.StringVar(&flags.p12File, p12FileFlag, "", "write PKCS#12 to this `file`")
	addForce(cmd, &flags.force)
	return cmd
}

func addForce(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "replace files that exist")
}

// certOrder returns what is asked for, and how its files are called.
func (a *app) certOrder(f *certIssueFlags, names []string, forClient bool) (o issuer.Order, base string, err error) {
	switch {
	case forClient && len(names) > 0:
		return o, "", withHint(usagef("--client and names of a server exclude each other"), "issue one certificate for each")
	case forClient && f.client == "":
		return o, "", usagef("--client is empty")
	case !forClient && len(names) == 0:
		return o, "", a.which("name", "such as: %s; or for a client: %s", "cert issue shop.localhost", "cert issue --client alice@example.com")
	case f.passwordFile != "" && !f.p12:
		return o, "", withHint(usagef("--password-file is for --p12 only"), "PEM files have no password; add --p12, or leave it out")
	}
	if err := f.life.check(); err != nil {
		return o, "", err
	}
	o = issuer.Order{Names: names, Life: f.duration()}
	if forClient {
		o.Client = f.client
		return o, clientBase(f.client), nil
	}
	return o, serverBase(names[0]), nil
}

func (a *app) certIssue(ctx context.Context, names []string, forClient bool, flags certIssueFlags) error {
	order, base, err := a.certOrder(&flags, names, forClient)
	if err != nil {
		return err
	}
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	out := &certOutputs{force: flags.force}
	certOut := out.add("cert-file", flags.certFile, base+".pem", "certificate and intermediate", privatePerm)
	keyOut := out.add(keyFileFlag, flags.keyFile, base+"-key.pem", "private key", privatePerm)
	var p12Out *certOutput
	if flags.p12 {
		p12Out = out.add(p12FileFlag, flags.p12File, base+".p12", "all of it as PKCS#12, with the password", privatePerm)
	}
	if err := out.check(flags.passwordFile, state); err != nil {
		return err
	}
	state, ca, err := a.certCA(ctx)
	if err != nil {
		return err
	}
	issued, err := ca.Issue(order, time.Now())
	if err != nil {
		return a.issueError(err)
	}
	certOut.data = chainPEM(issued)
	if keyOut.data, err = certfile.EncodeKey(issued.Key); err != nil {
		return err
	}
	if p12Out != nil {
		password, err := a.newPassword(ctx, p12Out.path, flags.passwordFile)
		if err != nil {
			return err
		}
		if p12Out.data, err = certfile.EncodePKCS12(issued.Key, chainOf(issued), string(password)); err != nil {
			return err
		}
	}
	entry := entryOf(issued.Certificate, forClient)
	if err := a.handOut(ctx, state, ca, entry, out); err != nil {
		return err
	}
	a.printIssued(issued, entry.Names, out, a.afterIssue(forClient, state, certOut.path, keyOut.path, p12Out))
	return nil
}

// afterIssue says what to do with the files.
func (a *app) afterIssue(forClient bool, state, certFile, keyFile string, p12 *certOutput) [][2]string {
	root := issuer.RootPath(state)
	if forClient {
		next := [][2]string{
			{"curl", elevate.Command{"curl", "--cacert", root, "--cert", certFile, "--key", keyFile, "https://…"}.String()},
			inPython(certFile, keyFile),
		}
		if p12 != nil {
			next = append(next, [2]string{"browsers", a.command("trust --client " + elevate.Command{p12.path}.String())})
		}
		return next
	}
	return [][2]string{
		inPython(certFile, keyFile),
		{"clients", "need the root: " + root},
	}
}
