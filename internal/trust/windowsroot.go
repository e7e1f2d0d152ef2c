package trust

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"devproxy/internal/elevate"
)

const kindWindows = "windows"

// windowsRoot is the store ROOT of a Windows user, by Windows' own certutil.
// What the machine trusts shows there, too, and is only read.
type windowsRoot struct {
	name     string
	certutil string
	run, ask runner // ask takes its time: Windows asks the person

	// path returns how Windows names a file of ours.
	path func(ctx context.Context, file string) (string, error)
}

func (w *windowsRoot) kind() string { return kindWindows }

// label names certutil as the place: the store itself is in the registry.
func (w *windowsRoot) label() (name, location string) { return w.name, w.certutil }

// in returns the words that name the user's store, or the machine's.
func (w *windowsRoot) in(machine bool, verb string, words ...string) elevate.Command {
	c := elevate.Command{w.certutil}
	if !machine {
		c = append(c, "-user")
	}
	return append(append(c, verb, "Root"), words...)
}

// find returns the SHA-1 by which certutil calls a, "" if the store does not
// have it.
func (w *windowsRoot) find(ctx context.Context, a anchor, machine bool) (id string, err error) {
	ids, err := w.candidates(ctx, a, machine)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		sum, err := w.read(ctx, id, machine)
		if err != nil {
			return "", err
		}
		if sum == a.sum {
			return id, nil
		}
	}
	return "", nil
}

var (
	listedEntry = regexp.MustCompile(`(?m)^={8,}.*$`)
	listedSHA1  = regexp.MustCompile(`(?m)\(sha1\):[ \t]*([0-9a-fA-F]{2}(?:[ \t]*[0-9a-fA-F]{2}){19})`)
)

// candidates returns the SHA-1 of a, or where its certificate is not at hand
// those of all roots of devproxy's.
func (w *windowsRoot) candidates(ctx context.Context, a anchor, machine bool) ([]string, error) {
	if a.file != "" {
		in, err := readBundle(a.file)
		if err != nil {
			return nil, err
		}
		der := in.find(a.sum)
		if der == nil {
			return nil, fmt.Errorf("%s does not hold the root any more", a.file)
		}
		digest := sha1.Sum(der)
		return []string{hex.EncodeToString(digest[:])}, nil
	}
	r, err := w.run(ctx, w.in(machine, "-store")...)
	if err != nil {
		return nil, err
	}
	if r.code != 0 {
		return nil, w.failed(r)
	}
	var ids []string
	for _, entry := range listedEntry.Split(r.out, -1) {
		if !strings.Contains(entry, "devproxy") {
			continue
		}
		if m := listedSHA1.FindStringSubmatch(entry); m != nil {
			ids = append(ids, strings.ToLower(strings.Join(strings.Fields(m[1]), "")))
		}
	}
	return ids, nil
}

// read returns the fingerprint of the certificate that the store has under an
// id, zero if it has none.
func (w *windowsRoot) read(ctx context.Context, id string, machine bool) (sum fingerprint, err error) {
	dir, err := os.MkdirTemp("", "devproxy-")
	if err != nil {
		return sum, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "read.cer")
	folder, err := w.path(ctx, dir)
	if err != nil {
		return sum, err
	}
	r, err := w.run(ctx, w.in(machine, "-store", id, folder+`\read.cer`)...)
	if err != nil {
		return sum, err
	}
	data, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if isNotFound(r) {
			return sum, nil
		}
		return sum, w.failed(r)
	}
	if err != nil {
		return sum, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	return sha256.Sum256(data), nil
}

// isNotFound goes by the code that certutil prints, which is the same in every
// language. As an exit status it does not survive WSL.
func isNotFound(r result) bool {
	text := strings.ToLower(r.out + r.errs)
	codes := []string{"0x80090011", "0x80092004"} // NTE_NOT_FOUND, CRYPT_E_NOT_FOUND
	return slices.ContainsFunc(codes, func(code string) bool { return strings.Contains(text, code) })
}

func (w *windowsRoot) failed(r result) error {
	return fmt.Errorf("certutil.exe: exit status %d: %s", r.code, firstLine(r.errs+"\n"+r.out))
}

func (w *windowsRoot) verify(ctx context.Context, a anchor) (finding, error) {
	id, err := w.find(ctx, a, false)
	if err != nil {
		return finding{}, err
	}
	if id == "" {
		return finding{state: NotTrusted}, nil
	}
	inMachine, err := w.read(ctx, id, true)
	if err == nil && inMachine == a.sum {
		return finding{state: Trusted, detail: "through the machine's store"}, nil
	}
	return finding{state: Trusted, ours: true}, nil
}

func (w *windowsRoot) installCommand(ctx context.Context, a anchor) (elevate.Command, error) {
	file, err := w.path(ctx, a.file)
	if err != nil {
		return nil, err
	}
	return w.in(false, "-addstore", file), nil
}

const windowsAsks = "Windows asks in a window of its own whether to trust the root"

func (w *windowsRoot) plan(ctx context.Context, a anchor) []Step {
	c, err := w.installCommand(ctx, a)
	if err != nil {
		return []Step{noteStep(w, err)}
	}
	return w.steps([]elevate.Command{c})
}

func (w *windowsRoot) steps(commands []elevate.Command) []Step {
	if len(commands) == 0 {
		return nil
	}
	steps := privilegedSteps(w, commands)
	for i := range steps {
		steps[i].Privileged = false
	}
	return append(steps, Step{Store: w.name, Location: w.certutil, Note: windowsAsks})
}

func (w *windowsRoot) install(ctx context.Context, a anchor) error {
	c, err := w.installCommand(ctx, a)
	if err != nil {
		return err
	}
	return w.do(ctx, c)
}

func (w *windowsRoot) do(ctx context.Context, c elevate.Command) error {
	r, err := w.ask(ctx, c...)
	if err == nil && r.code != 0 {
		err = w.failed(r)
	}
	if err != nil {
		return &problem{detail: err.Error(), fix: windowsAsks + ": answer Yes, or run " + c.String()}
	}
	return nil
}

func (w *windowsRoot) removeCommands(ctx context.Context, as []anchor) ([]elevate.Command, error) {
	var commands []elevate.Command
	for _, a := range as {
		id, err := w.find(ctx, a, false)
		if err != nil {
			return nil, err
		}
		if id == "" {
			continue
		}
		if inMachine, err := w.read(ctx, id, true); err == nil && inMachine == a.sum {
			continue
		}
		commands = append(commands, w.in(false, "-delstore", id))
	}
	return commands, nil
}

func (w *windowsRoot) planRemove(ctx context.Context, as []anchor) []Step {
	commands, err := w.removeCommands(ctx, as)
	if err != nil {
		return []Step{noteStep(w, err)}
	}
	return w.steps(commands)
}

func (w *windowsRoot) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	commands, err := w.removeCommands(ctx, as)
	if err != nil {
		return false, err
	}
	for _, c := range commands {
		if err := w.do(ctx, c); err != nil {
			return removed, err
		}
		removed = true
	}
	return removed, nil
}

func (w *windowsRoot) gone(ctx context.Context, a anchor) (finding, error) {
	f, err := w.verify(ctx, a)
	if err != nil || f.state != Trusted {
		return f, err
	}
	if f.ours {
		return finding{state: Trusted, detail: "still in the user's store"}, nil
	}
	return finding{
		state:  Trusted,
		detail: "in the machine's store, where devproxy did not put it",
		fix:    "delete it there as an administrator of Windows, with certlm.msc",
	}, nil
}
