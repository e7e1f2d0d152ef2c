package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"devproxy/internal/elevate"
)

// system is a distribution's store: a folder with a certificate file per root,
// from which a tool makes a bundle and whatever else clients read.
type system struct {
	layout // its paths are below "/"; those that follow are where they really are

	anchors   string          // folder for local roots
	refresh   elevate.Command // the tool, by its path since users may have no sbin; nil if it is not there
	bundle    string
	sources   []string
	links     string
	installer string // install(1); "" if there is none

	java      *systemJava          // which receipts of this kind may stand for, too; nil if not
	javaApart map[fingerprint]bool // roots that have a receipt for java itself

	readOnly   func(path string) bool
	privileged func(ctx context.Context, why string, commands []elevate.Command) error
}

func (s *system) kind() string { return s.layout.kind }

func (s *system) label() (name, location string) { return "System", s.anchors }

func (s *system) anchorFile(a anchor) string { return filepath.Join(s.anchors, a.name+s.ext) }

// occupant says what is in the place of a's file.
type occupant int

const (
	nothing occupant = iota
	ours             // exactly this root
	another          // something that is not ours to touch
)

func (s *system) occupant(a anchor) (occupant, error) {
	in, err := readCertificates(s.anchorFile(a))
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
func (s *system) inBundle(a anchor) (bool, error) {
	in, err := readBundle(s.bundle)
	return in.find(a.sum) != nil, err
}

// keeper returns a file, other than a's own, because of which the bundle holds
// a: somebody installed the same root under another name.
func (s *system) keeper(a anchor) string {
	var files []string
	for _, dir := range append([]string{s.anchors}, s.sources...) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if s.links != "" {
		links, _ := filepath.Glob(filepath.Join(s.links, "*.pem"))
		files = append(files, links...)
	}
	for _, file := range files {
		if file == s.anchorFile(a) || s.links != "" && file == s.linkFile(a) {
			continue
		}
		if in, err := readCertificates(file); err == nil && slices.Contains(in, a.sum) {
			if target, err := os.Readlink(file); err == nil {
				return target
			}
			return file
		}
	}
	return ""
}

func (s *system) verify(_ context.Context, a anchor) (finding, error) {
	here, err := s.occupant(a)
	if err != nil {
		return finding{}, err
	}
	in, err := readBundle(s.bundle)
	if err != nil {
		return finding{}, err
	}
	der := in.find(a.sum)
	switch {
	case der == nil && here == another:
		return finding{state: NotTrusted, detail: fmt.Sprintf("%s is there with other content", s.anchorFile(a))}, nil
	case der == nil && here == ours:
		return finding{
			state:  NotTrusted,
			detail: fmt.Sprintf("%s is there, but not in %s", s.anchorFile(a), s.bundle),
			fix:    "trust again",
		}, nil
	case der == nil:
		return finding{state: NotTrusted}, nil
	}
	f := finding{state: Trusted, ours: here == ours, roots: in.pool()}
	if here != ours {
		file := s.keeper(a)
		if file == "" {
			return finding{
				detail: fmt.Sprintf("trusted only until the next %s: %s is gone", filepath.Base(s.tool()), s.anchorFile(a)),
				fix:    "trust again",
			}, nil
		}
		f.detail = "through " + file
	}
	if s.hashed {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return finding{}, fmt.Errorf("%s: %v", s.bundle, err)
		}
		if missing := s.missingLink(cert, a.sum); missing != "" {
			return finding{
				state:  NotTrusted,
				detail: fmt.Sprintf("in %s, but %s is missing: OpenSSL, Python and others that look roots up there refuse it", s.bundle, missing),
				fix:    "trust again",
			}, nil
		}
	}
	return f, nil
}

// tool returns the path of the tool whether or not it is there.
func (s *system) tool() string {
	if s.refresh != nil {
		return s.refresh[0]
	}
	return s.layout.refresh[0][0]
}

// installCommands returns what root has to run; nothing is overwritten.
func (s *system) installCommands(a anchor) ([]elevate.Command, error) {
	here, err := s.occupant(a)
	switch {
	case err != nil:
		return nil, &problem{detail: err.Error(), fix: "move that file away"}
	case here == another:
		return nil, &problem{
			detail: fmt.Sprintf("%s is there with other content", s.anchorFile(a)),
			fix:    "move that file away",
		}
	case s.refresh == nil:
		return nil, &problem{detail: s.tool() + " is gone", fix: "install the package ca-certificates again"}
	}
	if here == nothing && s.installer == "" {
		return nil, &problem{
			detail: "there is no /usr/bin/install to put the certificate in place",
			fix:    fmt.Sprintf("copy %s to %s as root, then run %s", a.file, s.anchorFile(a), s.refresh),
		}
	}
	if err := s.writable(); err != nil {
		return nil, err
	}
	var commands []elevate.Command
	// Where a link is there already, the tool makes no hash for it and tells no
	// hook: a link that stayed behind would stay without effect.
	if s.links != "" && s.isOurLink(s.linkFile(a), a) {
		commands = append(commands, elevate.Command{"/bin/rm", "-f", s.linkFile(a)})
	}
	if here == nothing {
		commands = append(commands, a.feed(elevate.Command{s.installer, "-m", "0644", "/dev/stdin", s.anchorFile(a)}))
	}
	return append(commands, s.refresh), nil
}

// writable refuses a system that is not changed file by file.
func (s *system) writable() error {
	for _, dir := range []string{s.anchors, nearestDir(filepath.Dir(s.bundle))} {
		if isDir(dir) && s.readOnly(dir) {
			return &problem{
				detail: fmt.Sprintf("%s is on a read-only file system", dir),
				fix:    "add the root certificate to the image that this system is made from, or make the folder writable",
			}
		}
	}
	return nil
}

func (s *system) plan(_ context.Context, a anchor) []Step {
	commands, err := s.installCommands(a)
	if err != nil {
		return []Step{noteStep(s, err)}
	}
	return privilegedSteps(s, commands)
}

// privilegedSteps is a plan of commands that root runs.
func privilegedSteps(s store, commands []elevate.Command) []Step {
	name, location := s.label()
	var steps []Step
	for _, c := range commands {
		steps = append(steps, Step{Store: name, Location: location, Command: c, Privileged: true})
	}
	return steps
}

func (s *system) install(ctx context.Context, a anchor) error {
	commands, err := s.installCommands(a)
	if err != nil {
		return err
	}
	return s.privileged(ctx, "add the root certificate to the system's trust store", commands)
}

// traces is what is left of a root.
type traces struct {
	here    occupant
	files   []string // ours to delete: the anchor, links to it, links to those
	bundle  bool
	keeper  string // see system.keeper; only looked up if bundle
	aliases []string
	java    error // Java's store cannot be read
}

func (s *system) traces(a anchor) (t traces, err error) {
	if t.here, err = s.occupant(a); err != nil {
		return t, err
	}
	if t.bundle, err = s.inBundle(a); err != nil {
		return t, err
	}
	if t.bundle {
		t.keeper = s.keeper(a)
	}
	if t.here == ours {
		t.files = append(t.files, s.anchorFile(a))
	}
	if t.here != another {
		t.files = append(t.files, s.ourLinks(a)...)
	}
	if s.java != nil && !s.javaApart[a.sum] {
		t.aliases, t.java = s.java.aliases(a)
	}
	return t, nil
}

// removeCommands returns what root has to run to clear every trace of as. The
// tool alone leaves dangling links on Debian, and the root in Java's store
// (clients.md §3).
func (s *system) removeCommands(as []anchor) ([]elevate.Command, error) {
	rm := elevate.Command{"/bin/rm", "-f"}
	var refresh bool
	var inJava []anchor
	for _, a := range as {
		t, err := s.traces(a)
		if err != nil {
			return nil, err
		}
		rm = append(rm, t.files...)
		refresh = refresh || t.here == ours || t.bundle && t.here == nothing && t.keeper == ""
		if s.java != nil && (slices.Contains(t.aliases, s.java.alias(a)) || t.java != nil && len(t.files) > 0) {
			inJava = append(inJava, a)
		}
	}
	var commands []elevate.Command
	if len(rm) > 2 {
		commands = append(commands, rm)
	}
	if refresh && s.refresh != nil {
		commands = append(commands, s.refresh)
	}
	if len(inJava) > 0 {
		commands = append(commands, s.java.removal(inJava)...)
	}
	if len(commands) > 0 {
		if err := s.writable(); err != nil {
			return nil, err
		}
	}
	return commands, nil
}

func (s *system) planRemove(_ context.Context, as []anchor) []Step {
	commands, err := s.removeCommands(as)
	if err != nil {
		return []Step{noteStep(s, err)}
	}
	return privilegedSteps(s, commands)
}

func (s *system) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	// An update-ca-certificates that was killed leaves half a bundle, to which
	// the next run adds: a root comes back that way, once.
	for range 2 {
		commands, err := s.removeCommands(as)
		if err != nil || len(commands) == 0 {
			return removed, err
		}
		err = s.privileged(ctx, "take the root certificate out of the system's trust store", commands)
		if err != nil {
			return removed, err
		}
		removed = true
	}
	return removed, nil
}

func (s *system) gone(_ context.Context, a anchor) (finding, error) {
	t, err := s.traces(a)
	switch {
	case err != nil:
		return finding{}, err
	case t.bundle && t.keeper != "":
		return finding{
			state:  Trusted,
			detail: fmt.Sprintf("%s, which devproxy did not put there, holds the same root", t.keeper),
			fix:    fmt.Sprintf("delete that file, then run %s", s.tool()),
		}, nil
	case t.bundle:
		return finding{state: Trusted, detail: fmt.Sprintf("still in %s", s.bundle)}, nil
	case len(t.aliases) > 0:
		return s.java.left(t.aliases), nil
	case len(t.files) > 0:
		return finding{detail: "left over: " + strings.Join(t.files, ", ")}, nil
	case t.java != nil:
		return finding{
			detail: "cannot tell about Java: " + t.java.Error(),
			fix:    fmt.Sprintf("see whether keytool -list -keystore %s shows %s", s.java.file, s.java.alias(a)),
		}, nil
	case t.here == another:
		// The root itself is gone, but whose this is, under a name of ours, a
		// person has to see: it is trusted.
		return finding{
			detail: fmt.Sprintf("%s is left alone: it holds something else than devproxy put there", s.anchorFile(a)),
			fix:    fmt.Sprintf("look into that file and, unless it is yours, delete it as root and run %s", s.tool()),
		}, nil
	}
	return finding{state: NotTrusted}, nil
}
