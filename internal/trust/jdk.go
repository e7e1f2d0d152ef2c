package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"devproxy/internal/elevate"
)

const kindJDK = "jdk"

// jdk is the key store of one Java installation.
type jdk struct {
	file  string   // with links resolved
	tools []string // keytools, the installation's own first
	run   runner

	canWrite   func(file string) bool // this process can
	mayRoot    func(path string) bool // nobody but root can change what is there
	privileged func(ctx context.Context, why string, commands []elevate.Command) error
}

// jdk returns the store whose file is at a place with its links resolved.
func (m *Machine) jdk(file string) *jdk {
	j := &jdk{file: file, run: m.run, canWrite: canWrite, mayRoot: rootOwned, privileged: m.privileged}
	base := filepath.Dir(filepath.Dir(filepath.Dir(file))) // of lib/security/cacerts
	for _, home := range []string{base, filepath.Dir(base)} {
		if home == filepath.Dir(base) && filepath.Base(base) != "jre" {
			continue
		}
		if tool := filepath.Join(home, "bin", programName("keytool")); isExecutable(tool) {
			j.tools = append(j.tools, tool)
		}
	}
	for _, tool := range []string{lookUp(m.cfg.Path, programName("keytool")), m.at("/usr/bin/keytool")} {
		if tool != "" && isExecutable(tool) && !slices.Contains(j.tools, tool) {
			j.tools = append(j.tools, tool)
		}
	}
	return j
}

// reopenJDK takes no receipt's word for more than that a Java installation is
// there: what root then does to the file depends on whose it is.
func reopenJDK(m *Machine, r receipt) store {
	if !strings.HasSuffix(filepath.ToSlash(r.Location), "/lib/security/cacerts") {
		return nil
	}
	return m.jdk(r.Location)
}

func (j *jdk) kind() string { return kindJDK }

func (j *jdk) label() (name, location string) { return "Java", j.file }

func (j *jdk) verify(_ context.Context, a anchor) (finding, error) {
	k, err := readKeyStore(j.file)
	if errors.Is(err, errJavaPassword) {
		return finding{}, &problem{
			detail: fmt.Sprintf("%s has a password other than %q", j.file, javaPassword),
			fix:    "run " + j.byHand(a).String() + ", which asks for it",
		}
	}
	if err != nil {
		return finding{}, err
	}
	if len(k.find(a.sum)) == 0 {
		return finding{state: NotTrusted}, nil
	}
	return finding{state: Trusted, ours: j.isOurs(k, a), roots: k.bundle().pool()}, nil
}

// isOurs goes by the alias. Where the format does not tell it, a root of
// devproxy's is taken for one that devproxy put there.
func (j *jdk) isOurs(k keyStore, a anchor) bool {
	return slices.ContainsFunc(k.find(a.sum), func(e javaEntry) bool { return e.alias == a.name || e.alias == "" })
}

// keytool returns the tool to write with, and whether root has to run it.
func (j *jdk) keytool() (tool string, asRoot bool, err error) {
	if len(j.tools) == 0 {
		return "", false, &problem{detail: "there is no keytool here", fix: "install a JDK: its keytool writes the key stores of other Javas, too"}
	}
	if j.canWrite(j.file) {
		return j.tools[0], false, nil
	}
	if !j.mayRoot(j.file) {
		return "", true, &problem{
			detail: fmt.Sprintf("%s belongs to somebody else, and not to root", j.file),
			fix:    "run this as the user whose Java it is",
		}
	}
	// Root must not run what others can replace.
	i := slices.IndexFunc(j.tools, j.mayRoot)
	if i < 0 {
		return "", true, &problem{
			detail: fmt.Sprintf("only root can write %s, and no keytool here is root's alone", j.file),
			fix:    "install a JDK from the system's packages",
		}
	}
	return j.tools[i], true, nil
}

func (j *jdk) importing(tool string, asRoot bool, a anchor) elevate.Command {
	c := elevate.Command{tool, "-importcert", "-noprompt", "-trustcacerts", "-keystore", j.file,
		"-storepass", javaPassword, "-alias", a.name, "-file"}
	if asRoot {
		return a.feed(append(c, "/dev/stdin"))
	}
	return append(c, a.file)
}

func (j *jdk) deleting(tool, alias string) elevate.Command {
	return elevate.Command{tool, "-delete", "-noprompt", "-keystore", j.file, "-storepass", javaPassword, "-alias", alias}
}

// byHand is the import as a person runs it who knows the password.
func (j *jdk) byHand(a anchor) elevate.Command {
	tool, file := "keytool", a.file
	if len(j.tools) > 0 {
		tool = j.tools[0]
	}
	if file == "" {
		file = "root.pem"
	}
	return elevate.Command{tool, "-importcert", "-noprompt", "-trustcacerts", "-keystore", j.file, "-alias", a.name, "-file", file}
}

// installCommand returns what to run to have a trusted.
func (j *jdk) installCommand(a anchor) (c elevate.Command, asRoot bool, err error) {
	k, err := readKeyStore(j.file)
	if err != nil {
		return nil, false, err
	}
	if k.foreign {
		return nil, false, &problem{
			detail: fmt.Sprintf("%s has a password other than %q", j.file, javaPassword),
			fix:    "run " + j.byHand(a).String() + ", which asks for it",
		}
	}
	if i := slices.IndexFunc(k.entries, func(e javaEntry) bool { return e.alias == a.name }); i >= 0 {
		return nil, false, &problem{
			detail: fmt.Sprintf("%s has another certificate as %q", j.file, a.name),
			fix:    "rename that entry with keytool -changealias",
		}
	}
	tool, asRoot, err := j.keytool()
	if err != nil {
		return nil, asRoot, err
	}
	return j.importing(tool, asRoot, a), asRoot, nil
}

func (j *jdk) plan(_ context.Context, a anchor) []Step {
	c, asRoot, err := j.installCommand(a)
	if err != nil {
		return []Step{noteStep(j, err)}
	}
	name, location := j.label()
	return []Step{{Store: name, Location: location, Command: c, Privileged: asRoot}}
}

func (j *jdk) install(ctx context.Context, a anchor) error {
	c, asRoot, err := j.installCommand(a)
	if err != nil {
		return err
	}
	return j.do(ctx, asRoot, "add the root certificate to Java's key store", []elevate.Command{c})
}

func (j *jdk) do(ctx context.Context, asRoot bool, why string, commands []elevate.Command) error {
	if asRoot {
		return j.privileged(ctx, why, commands)
	}
	for _, c := range commands {
		r, err := j.run(ctx, c...)
		if err == nil && r.code != 0 {
			err = fmt.Errorf("keytool: %s", firstLine(r.out+"\n"+r.errs)) // it prints errors to standard output
		}
		if err != nil {
			return &problem{detail: err.Error(), fix: "run " + c.String() + " to see more"}
		}
	}
	return nil
}

// aliases returns the names under which the store trusts a; only keytool is at
// home with those of PKCS #12.
func (j *jdk) aliases(ctx context.Context, a anchor) ([]string, error) {
	k, err := readKeyStore(j.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var aliases []string
	for _, e := range k.find(a.sum) {
		if e.alias == "" {
			return j.list(ctx, a)
		}
		aliases = append(aliases, e.alias)
	}
	return aliases, nil
}

func (j *jdk) list(ctx context.Context, a anchor) ([]string, error) {
	if len(j.tools) == 0 {
		_, _, err := j.keytool()
		return nil, err
	}
	r, err := j.run(ctx, j.tools[0], "-list", "-rfc", "-keystore", j.file, "-storepass", javaPassword)
	if err == nil && r.code != 0 {
		err = fmt.Errorf("keytool: %s", firstLine(r.out+"\n"+r.errs))
	}
	if err != nil {
		return nil, err
	}
	aliases := listedAliases(r.out, a.sum)
	if len(aliases) == 0 {
		return nil, fmt.Errorf("%s trusts the root, but keytool does not list it", j.file)
	}
	return aliases, nil
}

func (j *jdk) removeCommands(ctx context.Context, as []anchor) (commands []elevate.Command, asRoot bool, err error) {
	for _, a := range as {
		aliases, err := j.aliases(ctx, a)
		if err != nil {
			return nil, false, err
		}
		for _, alias := range aliases {
			tool, root, err := j.keytool()
			if err != nil {
				return nil, root, err
			}
			commands, asRoot = append(commands, j.deleting(tool, alias)), root
		}
	}
	return commands, asRoot, nil
}

func (j *jdk) planRemove(ctx context.Context, as []anchor) []Step {
	commands, asRoot, err := j.removeCommands(ctx, as)
	if err != nil {
		return []Step{noteStep(j, err)}
	}
	steps := privilegedSteps(j, commands)
	for i := range steps {
		steps[i].Privileged = asRoot
	}
	return steps
}

func (j *jdk) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	commands, asRoot, err := j.removeCommands(ctx, as)
	if err != nil || len(commands) == 0 {
		return false, err
	}
	err = j.do(ctx, asRoot, "take the root certificate out of Java's key store", commands)
	return err == nil, err
}

func (j *jdk) gone(ctx context.Context, a anchor) (finding, error) {
	f, err := j.verify(ctx, a)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the installation went, and the root with it
		return finding{state: NotTrusted}, nil
	case err != nil:
		if p, ok := errors.AsType[*problem](err); ok {
			p.fix = "run " + elevate.Command{"keytool", "-delete", "-keystore", j.file, "-alias", a.name}.String() + ", which asks for it"
		}
		return finding{}, err
	case f.state != Trusted:
		return finding{state: NotTrusted}, nil
	}
	return finding{state: Trusted, detail: fmt.Sprintf("still in %s", j.file)}, nil
}

// canWrite reports whether this process may write a file that is there.
func canWrite(file string) bool {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
