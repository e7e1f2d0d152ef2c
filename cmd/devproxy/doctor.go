package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/doctor"
	"devproxy/internal/issuer"
	"devproxy/internal/portholder"
)

// errDoctorRed ends doctor when something is red. The table already said what.
var errDoctorRed = errors.New("not all is well")

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [HOST|URL]",
		Short: "Find out why a client does not accept a URL, and what to do",
		Long: `Look at everything between a client and an app: whether the names lead here, who
holds the ports, the certificate, each trust store, the environment of this
shell, the backends, and what each client on this machine makes of it. With a
HOST or URL only at that route. For a URL that is not devproxy's, say why its
certificate is refused.

It changes nothing and needs no server running. Each app on this machine is
asked for one page; one on another machine only if its HOST is named here.

Exit code 0 if nothing is red, 1 if something is, 2 for wrong usage or
configuration.`,
		Example: `  devproxy doctor
  devproxy doctor shop.localhost
  devproxy doctor https://expired.badssl.com`,
		Args: maxArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.doctor(cmd.Context(), a.newExamination(), args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// doctorReport is the output of doctor --json. Schema goes up when a field
// changes its meaning; new fields, checks and clients may come without.
//
// The checks are, in this order: config, ca, resolve, port, certificate, store,
// environment, backend, scheme; for a URL that is not devproxy's: connection,
// verify. The clients are those installed, of curl, wget, git, python (its ssl
// module), requests, node, deno, java, go, chromium and firefox; none for such
// a URL. States are ok, unknown, warn and fail.
type doctorReport struct {
	Schema  int             `json:"schema"`
	OK      bool            `json:"ok"`     // nothing is in state fail
	Target  string          `json:"target"` // as asked for; "" is everything
	Checks  []doctor.Check  `json:"checks"`
	Clients []doctor.Client `json:"clients"`
}

// An examination is one run of doctor: what it asks, and what it has found.
type examination struct {
	app         *app
	resolver    doctor.Resolver
	goFinds     func(ctx context.Context, host string) bool
	here        func(host string) bool // a backend's host is this machine
	holder      func(netip.AddrPort) (portholder.Holder, error)
	stores      storesFunc
	python      func(ctx context.Context, program string) (doctor.Python, error)
	curl        func(ctx context.Context, program string) (int, error)
	systemFiles []string
	systemDirs  []string
	programs    []string // folders with browsers, besides PATH
	usual       [][]netip.AddrPort

	seen   evidence
	report doctorReport
}

// newExamination returns one of this machine.
func (a *app) newExamination() *examination {
	pure := &net.Resolver{PreferGo: true}
	return &examination{
		app: a,
		resolver: doctor.Resolver{
			Getent: doctor.LookUp([]string{"/usr/bin", "/bin"}, "getent"),
			Lookup: net.DefaultResolver.LookupNetIP,
		},
		goFinds: func(ctx context.Context, host string) bool {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			addrs, err := pure.LookupNetIP(ctx, "ip", host)
			return err == nil && len(addrs) > 0
		},
		here:   onThisMachine,
		holder: portholder.Find,
		stores: a.trustStatus,
		python: func(ctx context.Context, program string) (doctor.Python, error) {
			return doctor.AskPython(ctx, program, os.Environ())
		},
		curl:        doctor.AskCurl,
		systemFiles: doctor.SystemFiles(),
		systemDirs:  doctor.SystemDirs(),
		programs:    []string{"/usr/bin", "/usr/local/bin", "/snap/bin"},
		usual:       usualListeners(),
	}
}

// doctor examines and prints. The report comes also where the configuration
// is wrong, which is its first finding.
func (a *app) doctor(ctx context.Context, e *examination, args []string, asJSON bool) error {
	var t *target
	if len(args) == 1 {
		var err error
		if t, err = parseTarget(args[0]); err != nil {
			return err
		}
	}
	err := e.examine(ctx, t)
	if ctx.Err() != nil {
		return errInterrupted
	}
	r := &e.report
	r.Schema, r.OK = 1, err == nil
	if t != nil {
		r.Target = t.text
	}
	if r.Clients == nil {
		r.Clients = []doctor.Client{}
	}
	for i, c := range r.Checks {
		r.OK = r.OK && c.State != doctor.Fail
		if c.Commands == nil {
			r.Checks[i].Commands = []string{}
		}
	}
	for _, c := range r.Clients {
		r.OK = r.OK && c.State != doctor.Fail
	}
	r.bound()
	if asJSON {
		if err := writeJSON(a.stdout, r); err != nil {
			return err
		}
	} else if err == nil {
		a.printReport(*r)
	}
	switch {
	case err != nil:
		return err
	case !r.OK:
		return errDoctorRed
	}
	return nil
}

// doctorTitles are what people read over each group of checks.
var doctorTitles = []struct{ check, title string }{
	{"config", "configuration"},
	{"ca", "certificate authority"},
	{"resolve", "names"},
	{"port", "ports"},
	{"certificate", "certificate served"},
	{"store", "trust stores"},
	{doctor.CheckEnvironment, "environment of this shell"},
	{"backend", "backends"},
	{"scheme", "apps behind https"},
	{"connection", "connection"},
	{"verify", "verification"},
}

func (a *app) printReport(r doctorReport) {
	bad := map[doctor.State]int{}
	for _, g := range doctorTitles {
		var rows [][]cell
		for _, c := range r.Checks {
			if c.Check == g.check {
				bad[c.State]++
				rows = append(rows, a.verdictRows(c)...)
			}
		}
		a.printGroup(g.title, rows)
	}
	var rows [][]cell
	for _, c := range alike(r.Clients) {
		bad[c.State]++
		rows = append(rows, a.verdictRows(doctor.Check{Subject: c.Client, Verdict: c.Verdict})...)
	}
	a.printGroup("clients", rows)

	words := []string{count(bad[doctor.Fail], "problem")}
	if n := bad[doctor.Warn]; n > 0 {
		words = append(words, count(n, "warning"))
	}
	if n := bad[doctor.Unknown]; n > 0 {
		words = append(words, fmt.Sprintf("%d cannot be told", n))
	}
	verdict := a.stateMark(doctor.OK, "no problem")
	if bad[doctor.Fail] > 0 {
		verdict = a.stateMark(doctor.Fail, strings.Join(words, ", "))
	} else if len(words) > 1 {
		verdict = a.stateMark(doctor.Warn, "no problem, "+strings.Join(words[1:], ", "))
	}
	a.printf("%s\n", paint(a.ui.outColor, verdict.color, verdict.text))
}

// alike puts the names of clients with one verdict together: one cause is one
// problem.
func alike(clients []doctor.Client) []doctor.Client {
	var groups []doctor.Client
	for _, c := range clients {
		i := slices.IndexFunc(groups, func(g doctor.Client) bool { return g.Verdict == c.Verdict })
		if i < 0 {
			groups = append(groups, c)
			continue
		}
		groups[i].Client += ", " + c.Client
	}
	return groups
}

func (a *app) printGroup(title string, rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	a.printf("%s\n", paint(a.ui.outColor, bold, title))
	a.ui.table(rows)
	a.printf("\n")
}

// verdictRows shows a check, and below it what to do.
func (a *app) verdictRows(c doctor.Check) [][]cell {
	rows := [][]cell{{a.stateMark(c.State, stateWord(c.State)), {c.Subject, ""}, {c.Detail, ""}}}
	for _, client := range []string{"OpenSSL", "Python", "Chromium", "Firefox"} {
		if name := c.Names[client]; name != "" {
			rows = append(rows, []cell{{}, {}, {client + ": " + name, dim}})
		}
	}
	if c.Fix != "" {
		rows = append(rows, []cell{{}, {}, {"fix: " + c.Fix, cyan}})
	}
	for _, command := range c.Commands {
		rows = append(rows, []cell{{}, {}, {"     " + command, cyan}})
	}
	return rows
}

func stateWord(s doctor.State) string {
	if s == doctor.Unknown {
		return "cannot tell"
	}
	return string(s)
}

// stateMark is ui.mark for the states of a diagnosis.
func (a *app) stateMark(s doctor.State, word string) cell {
	if s == doctor.OK || s == doctor.Fail {
		return a.ui.mark(s == doctor.OK, word)
	}
	symbol := map[doctor.State]string{doctor.Warn: "! ", doctor.Unknown: "? "}[s]
	if !a.ui.outTTY {
		symbol = ""
	}
	return cell{symbol + word, yellow}
}

// machine is what clients find here, given what was found out so far.
func (e *examination) machine() doctor.Machine {
	a := e.app
	m := doctor.Machine{
		Env:         a.env,
		Path:        a.env("PATH"),
		Programs:    e.programs,
		SystemFiles: e.systemFiles,
		SystemDirs:  e.systemDirs,
		Handshake:   e.prove,
		Stores:      e.seen.stores,
		Python:      e.python,
		Curl:        e.curl,
		SystemNode:  doctor.ReadsSystemRoots,
		Trust:       a.command("trust"),
		Exec:        a.command("exec") + " --",
	}
	if home, err := a.home(); err == nil {
		m.Home, m.ConfigHome = filepath.Clean(home), a.configHome(home)
	}
	if e.seen.ca != nil {
		m.Root = e.seen.ca.Root()
	}
	return m
}

// evidence is what later checks build upon.
type evidence struct {
	state     string     // folder; "" where there is none
	ca        *issuer.CA // nil where there is none that can be used
	listeners []listening
	stores    []doctor.Store
	routes    []doctor.Route
}
