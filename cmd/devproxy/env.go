package main

import (
	"crypto/x509"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/clientenv"
	"devproxy/internal/config"
	"devproxy/internal/issuer"
)

func (a *app) envCommand() *cobra.Command {
	var (
		shell  string
		java   bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the variables that make a shell's programs accept devproxy's certificates",
		Long: `Print the environment variables that make the programs started from a shell
accept devproxy's certificates: Python, Node, curl, git and others that look
beyond the system's store. They name files that hold the system's roots and
devproxy's, and what the variables named before; devproxy keeps these files
current. NO_PROXY gets the routed names.

A certificate file that a client's own settings name (git's http.sslCAInfo,
pip's cert) gives way to the variables: name it in the client's variable, and
it is joined. wget and PHP's curl have no such variable: they need devproxy
trust.`,
		Example: `  eval "$(devproxy env)"                                            bash, zsh, sh
  devproxy env --shell fish | source
  devproxy env --shell powershell | Out-String | Invoke-Expression`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				if cmd.Flags().Changed("shell") {
					return usagef("--shell and --json exclude each other")
				}
				return a.envJSON(java)
			}
			return a.envShell(shell, java)
		},
	}
	cmd.Flags().StringVar(&shell, "shell", "", "print for this `shell`: bash, zsh, sh, fish or powershell (default: that of $SHELL)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addJavaFlag(cmd, &java)
	return cmd
}

func addJavaFlag(cmd *cobra.Command, java *bool) {
	cmd.Flags().BoolVar(java, "java", false, "also for Java, which then says \"Picked up JAVA_TOOL_OPTIONS\" at each start")
}

func (a *app) envShell(name string, java bool) error {
	shell, err := a.shell(name)
	if err != nil {
		return err
	}
	vars, err := a.clientVariables(java)
	if err != nil {
		return err
	}
	for _, v := range vars {
		a.printf("%s\n", shell.Export(v))
	}
	words := "env"
	if name != "" {
		words += " --shell " + name
	}
	if java {
		words += " --java"
	}
	comment := shell.Comment("to set these, run: " + shell.Evaluate(a.command(words)))
	if clientenv.IsOneLine(a.configFile) && comment != "" {
		a.printf("%s\n", comment)
	}
	return nil
}

// envJSON prints one object, names and values, for programs that start others.
func (a *app) envJSON(java bool) error {
	vars, err := a.clientVariables(java)
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, v := range vars {
		values[v.Name] = v.Value
	}
	return writeJSON(a.stdout, values)
}

// shell returns the syntax to print in: that of name or, if it is empty, that
// of the person's shell.
func (a *app) shell(name string) (clientenv.Shell, error) {
	if name != "" {
		shell, ok := clientenv.ParseShell(name)
		if !ok {
			return "", withHint(usagef("--shell %s is not known", name), "use bash, zsh, sh, fish or powershell; --json suits everything else")
		}
		return shell, nil
	}
	login := a.env("SHELL")
	switch {
	case login == "" && runtime.GOOS == "windows":
		return clientenv.PowerShell, nil
	case login == "":
		return clientenv.POSIX, nil
	}
	shell, ok := clientenv.ParseShell(filepath.Base(login))
	if !ok {
		a.ui.warn("SHELL is " + login + ", whose syntax devproxy does not know: this is that of sh")
		return clientenv.POSIX, nil
	}
	return shell, nil
}

// clientVariables returns what makes clients accept our certificates, having
// brought the files that it names up to date.
func (a *app) clientVariables(java bool) ([]clientenv.Variable, error) {
	state, _, err := a.loadCA()
	if err != nil {
		return nil, err
	}
	ca, err := issuer.Publish(state)
	if err != nil {
		return nil, a.caError(err)
	}
	hosts, err := a.routedHosts()
	if err != nil {
		return nil, err
	}
	vars, warnings, err := clientBundles(state, ca.Root()).Variables(clientenv.Request{
		Env:   a.env,
		Hosts: hosts,
		Java:  java,
	})
	for _, w := range warnings {
		a.ui.warn(w)
	}
	return vars, err
}

// refreshBundles brings the bundles that shells use in line with root, and
// with the system's own roots. What goes wrong is said and ends nothing.
func (a *app) refreshBundles(state string, root *x509.Certificate) {
	warnings, err := clientBundles(state, root).Refresh()
	for _, w := range warnings {
		a.ui.warn(w)
	}
	if err != nil {
		a.ui.warn("bring the files of " + a.command("env") + " up to date: " + err.Error())
	}
}

func clientBundles(state string, root *x509.Certificate) clientenv.Bundles {
	return clientenv.Bundles{Dir: state, Root: root, RootFile: issuer.RootPath(state)}
}

// routedHosts returns the names of the routes. A file with mistakes must not
// keep a shell or a command from starting: it is warned about, and has no
// names.
func (a *app) routedHosts() ([]string, error) {
	src, err := a.newSource(nil)
	var cfg *config.Config
	if err == nil {
		cfg, err = src.load()
	}
	mistakes := config.Errors(err)
	switch {
	case err == nil:
	case len(mistakes) > 0:
		for _, m := range mistakes {
			a.ui.warn(m.Error())
		}
		a.ui.hint("until this is corrected, NO_PROXY lacks the names of the routes")
		return nil, nil
	case a.configFile != "":
		return nil, err // what was asked for by name is not there
	default:
		a.ui.warn(err.Error())
		a.ui.hint("NO_PROXY lacks the names of the routes")
		return nil, nil
	}
	var hosts []string
	for _, r := range cfg.Routes {
		hosts = append(hosts, r.Host)
	}
	return hosts, nil
}

// setVariables returns an environment, NAME=value each, with vars in it.
func setVariables(environ []string, vars []clientenv.Variable) []string {
	same := func(a, b string) bool { return a == b }
	if runtime.GOOS == "windows" {
		same = strings.EqualFold
	}
	var out []string
next:
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		for _, v := range vars {
			if same(name, v.Name) {
				continue next
			}
		}
		out = append(out, entry)
	}
	for _, v := range vars {
		out = append(out, v.Name+"="+v.Value)
	}
	return out
}
