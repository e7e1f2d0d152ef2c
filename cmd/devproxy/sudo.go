package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"devproxy/internal/elevate"
)

// elevate announces a privileged step and runs it.
func (a *app) elevate(ctx context.Context, why string, commands []elevate.Command) error {
	runner := a.elevator(ctx)
	if err := runner.Available(); err != nil {
		return err
	}
	switch {
	case runner.NeedsSudo():
		fmt.Fprintf(a.stderr, "devproxy: root is needed to %s; sudo will run:\n", printable(why))
		a.ui.commands(commands)
	case relayOf(ctx) != nil:
		fmt.Fprintf(a.stderr, "devproxy: root is needed to %s; running as root:\n", printable(why))
		a.ui.commands(commands)
	}
	return runner.Run(ctx, commands)
}

// elevator returns the way this person can become root.
func (a *app) elevator(ctx context.Context) *elevate.Runner {
	sudo := ""
	for _, dir := range filepath.SplitList(a.env("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, "sudo")); err == nil && filepath.IsAbs(path) {
			sudo = path
			break
		}
	}
	stdin, _ := a.stdin.(*os.File)
	return elevate.New(elevate.Config{
		Root:     os.Geteuid() == 0, // -1 on Windows
		Relay:    relayOf(ctx),
		Sudo:     sudo,
		Terminal: isTerminal(a.stdin),
		Stdin:    stdin,
		Stderr:   a.stderr,
	})
}

// relayKey is where a command's context holds the way to the process of root's
// that started this one.
type relayKey struct{}

func relayOf(ctx context.Context) *elevate.Client {
	client, _ := ctx.Value(relayKey{}).(*elevate.Client)
	return client
}

// sudoCaller returns what sudo says of the person who called it, and the
// variable that says so; both are empty unless root works for somebody else.
func (a *app) sudoCaller() (variable, value string) {
	if os.Geteuid() != 0 {
		return "", ""
	}
	if uid := a.env("SUDO_UID"); uid != "" {
		if strings.Trim(uid, "0") == "" {
			return "", "" // root called
		}
		return "SUDO_UID", uid
	}
	if name := a.env("SUDO_USER"); name != "" && name != "root" {
		return "SUDO_USER", name
	}
	return "", ""
}

// serves reports whether these arguments ask for a server. One that was
// started with sudo is refused, by stateDir; it would outlive the command, and
// needs nothing of root's but two ports.
func serves(root *cobra.Command, args []string) bool {
	cmd, _, err := root.Find(args)
	return err != nil || cmd == root || cmd.Name() == "serve" && cmd.Parent() == root
}

// needsRoot reports whether these arguments ask for a command of which a part
// may need root. Under sudo only these are given a way to it.
func needsRoot(root *cobra.Command, args []string) bool {
	cmd, _, err := root.Find(args)
	return err == nil && slices.Contains(rootCommands(), cmd.CommandPath())
}

func rootCommands() []string {
	return []string{
		"devproxy trust",
		"devproxy untrust",
		"devproxy ca rotate",
		"devproxy hosts sync",
		"devproxy hosts clean",
	}
}
