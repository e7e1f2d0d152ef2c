package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"devproxy/internal/elevate"
)

const kindSystemJava = "system-java"

// systemJava is the key store that a distribution keeps for all its Javas. It
// is filled when the system's store is, but on Debian by a hook that fails
// without a word while apt or dpkg runs (clients.md §3).
type systemJava struct {
	file    string
	hook    string          // takes "+link" and "-link" lines; "" if refresh makes the file anew
	refresh elevate.Command // the system's own tool
	keytool string          // as root runs it; "" if there is none
	from    *system         // the store that it is made from

	privileged func(ctx context.Context, why string, commands []elevate.Command) error
}

func (m *Machine) systemJava(l layout, from *system) *systemJava {
	j := &systemJava{
		file:       m.at(l.java[0]),
		refresh:    from.refresh,
		keytool:    rootKeytool(lookUp(m.cfg.Path, "keytool")),
		from:       from,
		privileged: m.privileged,
	}
	if l.javaAppend != "" {
		j.hook = m.at(l.javaAppend)
	}
	return j
}

func findSystemJava(m *Machine, _ anchor) ([]store, []Status) {
	l, ok := m.layout()
	if !ok || m.cfg.UserOnly || !isFile(m.at(l.java[0])) {
		return nil, nil
	}
	return []store{m.systemJava(l, m.system(l))}, nil
}

func reopenSystemJava(m *Machine, r receipt) store {
	all := layouts()
	l, ok := m.layout()
	if !ok || m.at(l.java[0]) != r.Location {
		// The system's tool may be gone, and its key store still be read.
		i := slices.IndexFunc(all, func(l layout) bool { return m.at(l.java[0]) == r.Location })
		if i < 0 {
			return nil
		}
		l = all[i]
	}
	return m.systemJava(l, m.system(l))
}

func (j *systemJava) kind() string { return kindSystemJava }

func (j *systemJava) label() (name, location string) { return "Java", j.file }

// alias is what Debian's hook calls a; where there is no hook, what we do.
func (j *systemJava) alias(a anchor) string {
	if j.hook == "" {
		return a.name
	}
	return strings.ToLower("debian:" + filepath.Base(j.from.linkFile(a)))
}

// aliases returns the names under which the store trusts a.
func (j *systemJava) aliases(a anchor) ([]string, error) {
	k, err := readKeyStore(j.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var aliases []string
	for _, e := range k.find(a.sum) {
		aliases = append(aliases, e.alias)
	}
	return aliases, nil
}

// isOurs reports whether a name is one that the root has because of us.
func (j *systemJava) isOurs(alias string, a anchor) bool {
	return j.hook == "" || alias == j.alias(a) || alias == a.name
}

func (j *systemJava) verify(_ context.Context, a anchor) (finding, error) {
	k, err := readKeyStore(j.file)
	if errors.Is(err, fs.ErrNotExist) {
		return finding{state: NotTrusted}, nil
	}
	if err != nil {
		return finding{}, err
	}
	found := k.find(a.sum)
	if len(found) == 0 {
		return finding{state: NotTrusted}, nil
	}
	f := finding{state: Trusted, roots: k.bundle().pool()}
	f.ours = slices.ContainsFunc(found, func(e javaEntry) bool { return j.isOurs(e.alias, a) })
	if !f.ours {
		f.detail = fmt.Sprintf("as %q", found[0].alias)
	}
	return f, nil
}

// installCommands returns what root has to run once the system's store holds a.
func (j *systemJava) installCommands(a anchor) ([]elevate.Command, error) {
	here, err := j.from.occupant(a)
	if err != nil || here != ours {
		return nil, &problem{
			detail: fmt.Sprintf("it is filled from %s, which does not hold the root", j.from.anchors),
			fix:    "see to the system's store first, then trust again",
		}
	}
	switch {
	case j.hook == "" && j.refresh != nil:
		return []elevate.Command{j.refresh}, nil
	case j.hook != "" && isExecutable(j.hook) && isFile(j.from.linkFile(a)):
		return []elevate.Command{j.tell("+", []anchor{a})}, nil
	case j.keytool != "":
		return []elevate.Command{{j.keytool, "-importcert", "-noprompt", "-trustcacerts", "-keystore", j.file,
			"-storepass", javaPassword, "-alias", a.name, "-file", j.from.anchorFile(a)}}, nil
	}
	return nil, &problem{
		detail: "there is nothing here that writes it: neither the system's hook nor a keytool",
		fix:    "install the package ca-certificates-java or a JDK, then trust again",
	}
}

// tell returns the command that passes roots to the hook, which knows the
// store's password.
func (j *systemJava) tell(sign string, as []anchor) elevate.Command {
	var lines []string
	for _, a := range as {
		lines = append(lines, elevate.Command{sign + j.from.linkFile(a)}.String())
	}
	script := fmt.Sprintf(`printf '%%s\n' %s | %s`, strings.Join(lines, " "), elevate.Command{j.hook})
	return elevate.Command{"/bin/sh", "-c", script}
}

func (j *systemJava) plan(_ context.Context, a anchor) []Step {
	if here, err := j.from.occupant(a); err == nil && here == nothing && j.from.refresh != nil {
		name, location := j.label()
		return []Step{{Store: name, Location: location, Note: "is filled by the system's store"}}
	}
	commands, err := j.installCommands(a)
	if err != nil {
		return []Step{noteStep(j, err)}
	}
	return privilegedSteps(j, commands)
}

func (j *systemJava) install(ctx context.Context, a anchor) error {
	commands, err := j.installCommands(a)
	if err != nil {
		return err
	}
	return j.busy(j.privileged(ctx, "add the root certificate to Java's key store", commands))
}

// busy says what mostly is the matter with a hook that failed.
func (j *systemJava) busy(err error) error {
	if p, ok := errors.AsType[*problem](err); ok && j.hook != "" {
		p.fix += "; while apt or dpkg runs, wait for it"
	}
	return err
}

// removal takes as out: with the hook that put them there if it still is.
func (j *systemJava) removal(as []anchor) []elevate.Command {
	if j.hook != "" && isExecutable(j.hook) {
		return []elevate.Command{j.tell("-", as)}
	}
	var commands []elevate.Command
	for _, a := range as {
		commands = append(commands, j.deletion(j.alias(a)))
	}
	return commands
}

func (j *systemJava) deletion(alias string) elevate.Command {
	tool := j.keytool
	if tool == "" {
		tool = "/usr/bin/keytool"
	}
	return elevate.Command{tool, "-delete", "-noprompt", "-keystore", j.file, "-storepass", javaPassword, "-alias", alias}
}

func (j *systemJava) removeCommands(as []anchor) ([]elevate.Command, error) {
	var commands []elevate.Command
	var byHook []anchor
	again := false
	for _, a := range as {
		aliases, err := j.aliases(a)
		if err != nil {
			return nil, err
		}
		for _, alias := range aliases {
			switch {
			case j.hook == "":
				again = true
			case alias == j.alias(a):
				byHook = append(byHook, a)
			case alias == a.name:
				commands = append(commands, j.deletion(alias))
			}
		}
	}
	if len(byHook) > 0 {
		commands = append(commands, j.removal(byHook)...)
	}
	if again && j.refresh != nil {
		commands = append(commands, j.refresh)
	}
	return commands, nil
}

func (j *systemJava) planRemove(_ context.Context, as []anchor) []Step {
	if j.hook == "" {
		// The system's store takes out both, unless it holds nothing of them.
		as = slices.DeleteFunc(slices.Clone(as), func(a anchor) bool {
			here, err := j.from.occupant(a)
			return err == nil && here == ours
		})
	}
	commands, err := j.removeCommands(as)
	if err != nil {
		return []Step{noteStep(j, err)}
	}
	return privilegedSteps(j, commands)
}

func (j *systemJava) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	commands, err := j.removeCommands(as)
	if err != nil || len(commands) == 0 {
		return false, err
	}
	err = j.busy(j.privileged(ctx, "take the root certificate out of Java's key store", commands))
	return err == nil, err
}

func (j *systemJava) gone(_ context.Context, a anchor) (finding, error) {
	aliases, err := j.aliases(a)
	if err != nil {
		return finding{}, err
	}
	if len(aliases) == 0 {
		return finding{state: NotTrusted}, nil
	}
	return j.left(aliases), nil
}

// left says that the store trusts a root under aliases.
func (j *systemJava) left(aliases []string) finding {
	return finding{
		state:  Trusted,
		detail: fmt.Sprintf("still in Java's store %s, as %q", j.file, aliases[0]),
		fix:    "run " + j.deletion(aliases[0]).String() + " as root",
	}
}
