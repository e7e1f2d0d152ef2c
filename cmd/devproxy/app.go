package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"devproxy/internal/config"
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

// goRun matches where "go run" starts a program: a folder that is gone
// afterwards or, from the second run on, go's build cache.
var goRun = regexp.MustCompile(`/go-build\d+/b\d+/exe/[^/]+$|/[0-9a-f]{2}/[0-9a-f]{64}-d/[^/]+$`)

// selfName returns how the program was started, so that hints work as typed.
func selfName(arg0 string) string {
	if goRun.MatchString(filepath.ToSlash(arg0)) {
		return "go run ./cmd/devproxy"
	}
	return elevate.Command{arg0}.String()
}

// opened is what most commands begin with: the state folder, and the
// configuration, checked against what the CA may sign for.
type opened struct {
	state  string
	source *source
	cfg    *config.Config
}

// open finds and loads it all. args are routes, HOST[/PATH]=TARGET.
func (a *app) open(args []string) (*opened, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	src, err := a.newSource(args)
	if err != nil {
		return nil, err
	}
	cfg, err := a.loadChecked(src, state)
	if err != nil {
		return nil, err
	}
	return &opened{state, src, cfg}, nil
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
		if number, ok := errors.AsType[*strconv.NumError](err); ok {
			problem, _, _ := strings.Cut(err.Error(), ": "+number.Error())
			err = errors.New(problem + ": not a whole number")
		}
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
		a.envCommand(),
		a.execCommand(),
		a.doctorCommand(),
		a.caCommand(),
		a.certCommand(),
		a.versionCommand(),
	)
	root.SetHelpCommand(a.helpCommand(root))
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			a.group(cmd)
		}
	}
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
		near := root.SuggestionsFor(arg)
		slices.SortStableFunc(near, func(a, b string) int { return commonPrefix(b, arg) - commonPrefix(a, arg) })
		if len(near) > 0 {
			return withHint(err, "did you mean %s %s? %s --help lists all commands", a.self, near[0], a.self)
		}
		return withHint(err, "%s --help lists the commands; a route is written HOST=TARGET, such as shop.localhost=5000", a.self)
	}
	return nil
}

// commonPrefix returns how many bytes two words begin with alike.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
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

// group completes a command that only holds others, members and those it has:
// alone it shows them, and a word it does not know is an error rather than a
// help text.
func (a *app) group(cmd *cobra.Command, members ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(members...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, m := range cmd.Commands() {
			names = append(names, m.Name())
		}
		return withHint(usagef("unknown command %q", cmd.Name()+" "+args[0]), "%s %s knows: %s", a.self, cmd.Name(), strings.Join(names, ", "))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// helpCommand is cobra's, but a word that is no command is an error.
func (a *app) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return withHint(usagef("unknown command %q", strings.Join(args, " ")), "%s --help lists the commands", a.self)
			}
			return cmd.Help()
		},
	}
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// A resultWriter remembers that results could not be written, which the
// functions that print them do not look at.
type resultWriter struct {
	w   io.Writer
	mu  sync.Mutex // guards err
	err error
}

func (r *resultWriter) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	if err != nil {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return n, err
}

func (r *resultWriter) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
