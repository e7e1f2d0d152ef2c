package main

import (
	"time"

	"github.com/spf13/cobra"

	"devproxy/internal/certfile"
	"devproxy/internal/issuer"
)

type certSelfSignedFlags struct {
	life
	certFile string
	keyFile  string
	force    bool
}

func (a *app) certSelfSignedCommand() *cobra.Command {
	var flags certSelfSignedFlags
	cmd := &cobra.Command{
		Use:   "self-signed NAME...",
		Short: "Make a certificate that no CA has signed, for comparison",
		Long: `Make a private key and a certificate that is signed with this very key, as many
tutorials do. No client accepts it unless it is told to trust exactly this
certificate: cert issue is the better way. No CA is needed.`,
		Example: `  devproxy cert self-signed shop.localhost`,
		Args:    a.someArgs("name", "such as: %s", "cert self-signed shop.localhost"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.certSelfSigned(args, flags) },
	}
	flags.life.add(cmd)
	cmd.Flags().StringVar(&flags.certFile, "cert-file", "", "write the certificate to this `file`")
	cmd.Flags().StringVar(&flags.keyFile, keyFileFlag, "", "write the key to this `file`")
	addForce(cmd, &flags.force)
	return cmd
}

func (a *app) certSelfSigned(names []string, flags certSelfSignedFlags) error {
	if err := flags.life.check(); err != nil {
		return err
	}
	base := serverBase(names[0]) + "-self-signed"
	out := &certOutputs{force: flags.force}
	certOut := out.add("cert-file", flags.certFile, base+".pem", "certificate, signed by its own key", privatePerm)
	keyOut := out.add(keyFileFlag, flags.keyFile, base+"-key.pem", "private key", privatePerm)
	if err := out.check("", a.anyStateDir()); err != nil {
		return err
	}
	issued, err := issuer.SelfSigned(names, flags.duration(), time.Now())
	if err != nil {
		return a.issueError(err)
	}
	certOut.data = chainPEM(issued)
	if keyOut.data, err = certfile.EncodeKey(issued.Key); err != nil {
		return err
	}
	if err := out.put(); err != nil {
		return err
	}
	a.printIssued(issued, serverNames(issued.Certificate), out, [][2]string{
		inPython(certOut.path, keyOut.path),
		{"clients", "refuse it, but those that are told to trust " + certOut.path},
	})
	return nil
}
