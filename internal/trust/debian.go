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

const kindDebian = "debian"

// debian is the system store of Debian and Ubuntu: a certificate file per root
// in anchors, from which update-ca-certificates makes a bundle, links and, by a
// hook of the package ca-certificates-java, Java's store (clients.md §3).
type debian struct {
	anchors  string // folder for local roots
	certs    string // folder of links that OpenSSL reads
	bundle   string // all roots in one file
	update   string // update-ca-certificates; by its path, users have no sbin
	java     string // Java's key store
	javaHook string
	keytool  string // "" if there is none

	privileged func(ctx context.Context, why string, commands []elevate.Command) error
}

func (m *Machine) debian() *debian {
	at := func(path string) string { return filepath.Join(m.cfg.Root, path) }
	return &debian{
		anchors:    at("/usr/local/share/ca-certificates"),
		certs:      at("/etc/ssl/certs"),
		bundle:     at("/etc/ssl/certs/ca-certificates.crt"),
		update:     at("/usr/sbin/update-ca-certificates"),
		java:       at("/etc/ssl/certs/java/cacerts"),
		javaHook:   at("/etc/ca-certificates/update.d/jks-keystore"),
		keytool:    lookUp(m.cfg.Path, "keytool"),
		privileged: m.privileged,
	}
}

// findDebian goes by what is on disk: the name of the system says less.
func findDebian(m *Machine, _ anchor) ([]store, []Status) {
	d := m.debian()
	if m.cfg.UserOnly || !isExecutable(d.update) || !isDir(d.anchors) {
		return nil, nil
	}
	return []store{d}, nil
}

// reopenDebian takes no receipt's word for the place: root deletes files there.
func reopenDebian(m *Machine, r receipt) store {
	if d := m.debian(); d.anchors == r.Location {
		return d
	}
	return nil
}

func (d *debian) kind() string { return kindDebian }

func (d *debian) label() (name, location string) { return "System", d.anchors }

func (d *debian) anchorFile(a anchor) string { return filepath.Join(d.anchors, a.name+".crt") }
func (d *debian) linkFile(a anchor) string   { return filepath.Join(d.certs, a.name+".pem") }

// occupant says what is in the place of a's file.
type occupant int

const (
	nothing occupant = iota
	ours             // exactly this root
	another          // something that is not ours to touch
)

func (d *debian) occupant(a anchor) (occupant, error) {
	in, err := readCertificates(d.anchorFile(a))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nothing, nil
	case err != nil:
		return another, err
	case len(in) == 1 && in[0] == a.sum:
		return ours, nil
	}
	return another, nil
}

// inBundle reports whether the bundle, which most clients read, holds a.
func (d *debian) inBundle(a anchor) (bool, error) {
	in, err := readCertificates(d.bundle)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.Contains(in, a.sum), err
}

// keeper returns a file, other than a's own, because of which the bundle holds
// a: somebody installed the same root under another name.
func (d *debian) keeper(a anchor) string {
	links, _ := filepath.Glob(filepath.Join(d.certs, "*.pem"))
	for _, link := range links {
		if link == d.linkFile(a) {
			continue
		}
		if in, err := readCertificates(link); err == nil && slices.Contains(in, a.sum) {
			if file, err := os.Readlink(link); err == nil {
				return file
			}
			return link
		}
	}
	return ""
}

func (d *debian) verify(_ context.Context, a anchor) (finding, error) {
	here, err := d.occupant(a)
	if err != nil {
		return finding{}, err
	}
	trusted, err := d.inBundle(a)
	switch {
	case err != nil:
		return finding{}, err
	case trusted && here == ours:
		return finding{state: Trusted, ours: true}, nil
	case trusted:
		if file := d.keeper(a); file != "" {
			return finding{state: Trusted, detail: "through " + file}, nil
		}
		return finding{
			detail: fmt.Sprintf("trusted only until the next update-ca-certificates: %s is gone", d.anchorFile(a)),
			fix:    "trust again",
		}, nil
	case here == another:
		return finding{state: NotTrusted, detail: fmt.Sprintf("%s is there with other content", d.anchorFile(a))}, nil
	case here == ours:
		return finding{state: NotTrusted, detail: fmt.Sprintf("%s is there, but not in %s", d.anchorFile(a), d.bundle)}, nil
	}
	return finding{state: NotTrusted}, nil
}

// installCommands returns what root has to run; nothing is overwritten.
func (d *debian) installCommands(a anchor) ([]elevate.Command, error) {
	refresh := elevate.Command{d.update}
	switch here, err := d.occupant(a); {
	case here == ours:
		return []elevate.Command{refresh}, nil
	case here == another:
		p := &problem{
			detail: fmt.Sprintf("%s is there with other content", d.anchorFile(a)),
			fix:    "move that file away",
		}
		if err != nil {
			p.detail = err.Error()
		}
		return nil, p
	}
	return []elevate.Command{
		{"/usr/bin/install", "-m", "0644", a.file, d.anchorFile(a)},
		refresh,
	}, nil
}

func (d *debian) plan(_ context.Context, a anchor) []Step {
	commands, err := d.installCommands(a)
	if err != nil {
		return []Step{noteStep(d, err)}
	}
	return d.steps(commands)
}

func (d *debian) install(ctx context.Context, a anchor) error {
	commands, err := d.installCommands(a)
	if err != nil {
		return err
	}
	return d.privileged(ctx, "add the root certificate to the system's trust store", commands)
}

func (d *debian) steps(commands []elevate.Command) []Step {
	name, location := d.label()
	var steps []Step
	for _, c := range commands {
		steps = append(steps, Step{Store: name, Location: location, Command: c, Privileged: true})
	}
	return steps
}

// traces is what is left of a root.
type traces struct {
	here    occupant
	files   []string // ours to delete: the anchor, links to it, links to those
	bundle  bool
	keeper  string // see debian.keeper; only looked up if bundle
	aliases []string
	java    error // Java's store cannot be read
}

func (d *debian) traces(a anchor) (t traces, err error) {
	if t.here, err = d.occupant(a); err != nil {
		return t, err
	}
	if t.bundle, err = d.inBundle(a); err != nil {
		return t, err
	}
	if t.bundle {
		t.keeper = d.keeper(a)
	}
	if t.here == ours {
		t.files = append(t.files, d.anchorFile(a))
	}
	if t.here != another {
		t.files = append(t.files, d.links(a)...)
	}
	data, err := readFile(d.java)
	if err == nil {
		t.aliases, err = jksAliases(data, a.sum)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.java = fmt.Errorf("%s: %w", d.java, err)
	}
	return t, nil
}

// links returns the links that update-ca-certificates made for a: one by name
// and one, named by a hash of the subject, to that. Left dangling they make
// later runs of openssl rehash complain.
func (d *debian) links(a anchor) []string {
	targets := []string{d.anchorFile(a), d.linkFile(a), filepath.Base(d.linkFile(a))}
	entries, _ := os.ReadDir(d.certs)
	var links []string
	for _, e := range entries {
		file := filepath.Join(d.certs, e.Name())
		if target, err := os.Readlink(file); err == nil && slices.Contains(targets, target) {
			links = append(links, file)
		}
	}
	return links
}

// alias is what Debian's hook calls a in Java's store.
func (d *debian) alias(a anchor) string {
	return strings.ToLower("debian:" + filepath.Base(d.linkFile(a)))
}

// removeCommands returns what root has to run to clear every trace of as.
// update-ca-certificates alone leaves dangling links, and the root in Java's
// store (clients.md §3).
func (d *debian) removeCommands(as []anchor) ([]elevate.Command, error) {
	rm := elevate.Command{"/bin/rm", "-f"}
	var refresh bool
	var inJava []anchor
	for _, a := range as {
		t, err := d.traces(a)
		if err != nil {
			return nil, err
		}
		rm = append(rm, t.files...)
		refresh = refresh || t.here == ours || t.bundle && t.here == nothing && t.keeper == ""
		if slices.Contains(t.aliases, d.alias(a)) || t.java != nil && len(t.files) > 0 {
			inJava = append(inJava, a)
		}
	}
	var commands []elevate.Command
	if len(rm) > 2 {
		commands = append(commands, rm)
	}
	if refresh && isExecutable(d.update) {
		commands = append(commands, elevate.Command{d.update})
	}
	return append(commands, d.javaCommands(inJava)...), nil
}

// javaCommands takes as out of Java's store: with the hook that put them there
// if it still is, since it knows the store's password.
func (d *debian) javaCommands(as []anchor) []elevate.Command {
	var commands []elevate.Command
	if len(as) > 0 && isExecutable(d.javaHook) {
		var lines []string
		for _, a := range as {
			lines = append(lines, elevate.Command{"-" + d.linkFile(a)}.String())
		}
		script := fmt.Sprintf(`printf '%%s\n' %s | %s`, strings.Join(lines, " "), elevate.Command{d.javaHook})
		return []elevate.Command{{"/bin/sh", "-c", script}}
	}
	for _, a := range as {
		commands = append(commands, d.keytoolDelete(d.alias(a)))
	}
	return commands
}

func (d *debian) keytoolDelete(alias string) elevate.Command {
	tool := d.keytool
	if tool == "" {
		tool = "/usr/bin/keytool"
	}
	return elevate.Command{tool, "-delete", "-noprompt", "-keystore", d.java, "-storepass", "changeit", "-alias", alias}
}

func (d *debian) planRemove(_ context.Context, as []anchor) []Step {
	commands, err := d.removeCommands(as)
	if err != nil {
		return []Step{noteStep(d, err)}
	}
	return d.steps(commands)
}

func (d *debian) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	// An update-ca-certificates that was killed leaves half a bundle, to which
	// the next run adds: a root comes back that way, once.
	for range 2 {
		commands, err := d.removeCommands(as)
		if err != nil || len(commands) == 0 {
			return removed, err
		}
		err = d.privileged(ctx, "take the root certificate out of the system's trust store", commands)
		if err != nil {
			return removed, err
		}
		removed = true
	}
	return removed, nil
}

func (d *debian) gone(_ context.Context, a anchor) (finding, error) {
	t, err := d.traces(a)
	switch {
	case err != nil:
		return finding{}, err
	case t.bundle && t.keeper != "":
		return finding{
			state:  Trusted,
			detail: fmt.Sprintf("%s, which devproxy did not put there, holds the same root", t.keeper),
			fix:    fmt.Sprintf("delete that file, then run %s", d.update),
		}, nil
	case t.bundle:
		return finding{state: Trusted, detail: fmt.Sprintf("still in %s", d.bundle)}, nil
	case len(t.aliases) > 0:
		return finding{
			state:  Trusted,
			detail: fmt.Sprintf("still in Java's store %s, as %q", d.java, t.aliases[0]),
			fix:    "run " + d.keytoolDelete(t.aliases[0]).String() + " as root",
		}, nil
	case len(t.files) > 0:
		return finding{detail: "left over: " + strings.Join(t.files, ", ")}, nil
	case t.java != nil:
		return finding{
			detail: "cannot tell about Java: " + t.java.Error(),
			fix:    fmt.Sprintf("see whether keytool -list -keystore %s shows %s", d.java, d.alias(a)),
		}, nil
	case t.here == another:
		return finding{state: NotTrusted, detail: fmt.Sprintf("%s is left alone: its content is not ours", d.anchorFile(a))}, nil
	}
	return finding{state: NotTrusted}, nil
}
