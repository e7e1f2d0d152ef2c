package main

import (
	"crypto/x509"
	"encoding/pem"

	"github.com/spf13/cobra"

	"devproxy/internal/certfile"
	"devproxy/internal/elevate"
	"devproxy/internal/issuer"
)

type certRequestFlags struct {
	keyFile string
	csrFile string
	force   bool
}

func (a *app) certRequestCommand() *cobra.Command {
	var flags certRequestFlags
	cmd := &cobra.Command{
		Use:   "request NAME...",
		Short: "Make a key and a certificate signing request",
		Long: `Make a private key and a certificate signing request (CSR) for the names of a
server. The request can go to any CA: the key stays here. No CA of devproxy's is
needed.`,
		Example: `  devproxy cert request shop.localhost
  devproxy cert sign shop.localhost.csr`,
		Args: a.someArgs("name", "such as: %s", "cert request shop.localhost"),
		RunE: func(_ *cobra.Command, args []string) error { return a.certRequest(args, flags) },
	}
	cmd.Flags().StringVar(&flags.keyFile, keyFileFlag, "", "write the key to this `file`")
	cmd.Flags().StringVar(&flags.csrFile, "csr-file", "", "write the request to this `file`")
	addForce(cmd, &flags.force)
	return cmd
}

func (a *app) certRequest(names []string, flags certRequestFlags) error {
	base := serverBase(names[0])
	out := &certOutputs{force: flags.force}
	csrOut := out.add("csr-file", flags.csrFile, base+".csr", "certificate signing request", publicPerm)
	keyOut := out.add(keyFileFlag, flags.keyFile, base+"-key.pem", "private key", privatePerm)
	if err := out.check("", a.anyStateDir()); err != nil {
		return err
	}
	der, key, notes, err := issuer.NewRequest(names)
	if err != nil {
		return a.issueError(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	csrOut.data = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	if keyOut.data, err = certfile.EncodeKey(key); err != nil {
		return err
	}
	if err := out.put(); err != nil {
		return err
	}
	asked := serverNames(&x509.Certificate{DNSNames: request.DNSNames, IPAddresses: request.IPAddresses})
	a.ui.table(out.rows())
	a.printf("\n")
	a.ui.table([][]cell{
		{{"for", dim}, {someNames(asked), ""}},
		{{"next", dim}, {a.command("cert sign " + elevate.Command{csrOut.path}.String()), ""}},
	})
	a.notes(notes)
	return nil
}

// anyStateDir is stateDir for commands that work without one.
func (a *app) anyStateDir() string {
	state, err := a.stateDir()
	if err != nil {
		return ""
	}
	return state
}
