package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"devproxy": main})
}

// TestScripts runs the program as a person would: one script a subject, in a
// home of its own that is also the working directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("DEVPROXY_HOME", "")
			env.Setenv("XDG_DATA_HOME", "")
			env.Setenv("XDG_CONFIG_HOME", "")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("SUDO_UID", "")
			env.Setenv("SUDO_USER", "")
			// Others may not write here, or the search would stop.
			return os.Chmod(env.WorkDir, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"handshake": shake,
			"mode":      mode,
			"serial":    serial,
			"waitfor":   waitFor,
		},
	})
}

// exits runs a program that must end with a code: exits CODE PROGRAM ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// mode checks the permissions of a file: mode 0600 PATH
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL PATH")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode().Perm(); uint64(got) != want {
		ts.Fatalf("%s has mode %#o, want %#o", args[1], got, want)
	}
}

// serial sets a variable to the serial number that cert list prints for
// somebody: serial NAME VARIABLE
func serial(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: serial NAME VARIABLE")
	}
	ts.Check(ts.Exec("devproxy", "cert", "list"))
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.Trim(fields[1], ",") == args[0] {
			ts.Setenv(args[1], fields[0])
			return
		}
	}
	ts.Fatalf("cert list does not name %s", args[0])
}

// TestEveryCommandIsDocumented keeps the README's table of commands complete.
func TestEveryCommandIsDocumented(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	a := newApp([]string{"devproxy"}, func(string) string { return "" }, nil, nil, nil)
	for _, cmd := range a.rootCommand().Commands() {
		if !strings.Contains(string(readme), "devproxy "+cmd.Name()) {
			t.Errorf("README.md does not name devproxy %s", cmd.Name())
		}
	}
}
