package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/elevate"
)

// app is what every command shares: the outside world and how to talk to it.
type app struct {
	env    func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	ui     *ui

	backends   *backends
	self       string // what a person types to start this program again
	configFile string // --config; "" searches
}

func newApp(args []string, env func(string) string, stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{
		env:      env,
		stdin:    stdin,
		stdout:   stdout,
		stderr:   stderr,
		ui:       newUI(env, stdout, stderr),
		backends: newBackends(),
		self:     selfName(args[0]),
	}
}

// selfName returns how the program was started, so that hints work as typed.
// "go run" builds into a folder that is gone afterwards.
func selfName(arg0 string) string {
	dir := filepath.ToSlash(filepath.Dir(arg0))
	if strings.Contains(dir, "/go-build") && strings.HasSuffix(dir, "/exe") {
		return "go run ./cmd/devproxy"
	}
	return elevate.Command{arg0}.String()
}

// command returns a command line for a hint, with --config where it was given.
func (a *app) command(words string) string {
	line := a.self + " " + words
	if a.configFile != "" {
		line += " --config " + elevate.Command{a.configFile}.String()
	}
	return line
}

func (a *app) rootCommand() *cobra.Command {
	serve := a.serveCommand()
	root := &cobra.Command{
		Use:   "devproxy [HOST[/PATH]=TARGET ...]",
		Short: "Real https URLs for the apps on this machine",
		Long: `devproxy gives the apps on this machine real https URLs.

Without a command it serves: the routes of devproxy.toml in this folder or a
parent, those given as arguments, and https://hello.localhost when there are
none.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 trust incomplete.`,
		Example: `  devproxy                              serve the routes of devproxy.toml
  devproxy shop.localhost=5000          serve one more
  devproxy trust                        make browsers and tools accept it`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          serve.RunE,
	}
	root.SuggestionsMinimumDistance = 2
	root.Args = func(_ *cobra.Command, args []string) error { return a.checkRootArgs(root, args) }
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(&usageError{err}, "see %s --help", a.self+strings.TrimPrefix(cmd.CommandPath(), "devproxy"))
	})
	root.PersistentFlags().StringVarP(&a.configFile, "config", "c", "", "use this `file` instead of searching for devproxy.toml")
	root.AddCommand(
		serve,
		a.checkCommand(),
		a.routesCommand(),
		a.trustCommand(),
		a.untrustCommand(),
		a.hostsCommand(),
		a.caCommand(),
		a.versionCommand(),
	)
	return root
}

// checkRootArgs takes routes (HOST=TARGET); any other word is a command that
// does not exist.
func (a *app) checkRootArgs(root *cobra.Command, args []string) error {
	for _, arg := range args {
		if strings.Contains(arg, "=") {
			continue
		}
		err := usagef("unknown command %q", arg)
		if near := root.SuggestionsFor(arg); len(near) > 0 {
			return withHint(err, "did you mean %s %s? %s --help lists all commands", a.self, near[0], a.self)
		}
		return withHint(err, "%s --help lists the commands; a route is written HOST=TARGET, such as shop.localhost=5000", a.self)
	}
	return nil
}

// noArgs and maxArgs are cobra's checks with the exit code for wrong usage.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}

func maxArgs(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("unexpected argument %q", args[n])
		}
		return nil
	}
}

// group returns a command that only holds others: alone it shows them, and a
// word it does not know is an error rather than a help text.
func (a *app) group(cmd *cobra.Command, members ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(members...)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		names := make([]string, len(members))
		for i, m := range members {
			names[i] = m.Name()
		}
		return withHint(usagef("unknown command %q", cmd.Name()+" "+args[0]), "%s %s knows: %s", a.self, cmd.Name(), strings.Join(names, ", "))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }
