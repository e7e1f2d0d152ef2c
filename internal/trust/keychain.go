package trust

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"devproxy/internal/atomicfile"
	"devproxy/internal/elevate"
)

const (
	kindKeychain   = "keychain"
	securityTool   = "/usr/bin/security"
	systemKeychain = "/Library/Keychains/System.keychain"
)

// keychain is a keychain of macOS together with the trust settings for what it
// holds: the administrator's for the system's keychain, the person's own for
// that of the login.
type keychain struct {
	security string
	file     string
	system   bool   // root writes it
	scratch  string // folder of ours for certificates that are handed to security

	run        runner
	ask        runner // for what asks a person and so takes its time
	privileged func(ctx context.Context, why string, commands []elevate.Command) error
}

func (m *Machine) keychain(file string) *keychain {
	return &keychain{
		security:   m.at(securityTool),
		file:       file,
		system:     file == m.at(systemKeychain),
		scratch:    m.cfg.State,
		run:        logged(m.log, inSession(helperTimeout)),
		ask:        logged(m.log, inSession(askTimeout)),
		privileged: m.privileged,
	}
}

func (m *Machine) loginKeychain() string {
	return filepath.Join(m.cfg.Home, "Library/Keychains/login.keychain-db")
}

func findKeychain(m *Machine, _ anchor) ([]store, []Status) {
	switch {
	case !isExecutable(m.at(securityTool)):
		return nil, []Status{{Store: "System", Detail: securityTool + " is missing", Fix: "import the root certificate with Keychain Access"}}
	case !m.cfg.UserOnly:
		return []store{m.keychain(m.at(systemKeychain))}, nil
	case filepath.IsAbs(m.cfg.Home) && isFile(m.loginKeychain()):
		return []store{m.keychain(m.loginKeychain())}, nil
	}
	return nil, nil
}

// reopenKeychain knows two places, whatever a receipt says.
func reopenKeychain(m *Machine, r receipt) store {
	if r.Location == m.at(systemKeychain) || filepath.IsAbs(m.cfg.Home) && r.Location == m.loginKeychain() {
		return m.keychain(r.Location)
	}
	return nil
}

func (k *keychain) kind() string { return kindKeychain }

func (k *keychain) label() (name, location string) {
	if k.system {
		return "System", k.file
	}
	return "Login", k.file
}

// held returns the certificate as PEM, nil if the keychain does not have it.
func (k *keychain) held(ctx context.Context, a anchor) ([]byte, error) {
	const notFound = 44 // errSecItemNotFound, as security shortens it
	r, err := k.run(ctx, k.security, "find-certificate", "-a", "-Z", "-p", k.file)
	if err != nil {
		return nil, err
	}
	if r.code == notFound {
		return nil, nil
	}
	if r.code != 0 {
		return nil, fmt.Errorf("security find-certificate: %s", firstLine(r.errs))
	}
	text := r.out
	for {
		begin := strings.Index(text, "-----BEGIN CERTIFICATE-----")
		if begin < 0 {
			return nil, nil
		}
		block, rest := pem.Decode([]byte(text[begin:]))
		if block == nil {
			return nil, errors.New("security find-certificate: what it prints is no certificate")
		}
		if in := certificates(pem.EncodeToMemory(block)); len(in) == 1 && in[0] == a.sum {
			return pem.EncodeToMemory(block), nil
		}
		text = string(rest)
	}
}

// accepted asks the verifier that Safari, Chrome and curl ask. The settings
// themselves could be exported and read, but they are several lists, of which
// a person's own overrides the administrator's: only the verifier joins them.
func (k *keychain) accepted(ctx context.Context, a anchor, text []byte) (bool, error) {
	file, discard, err := k.fileFor(a, text)
	if err != nil {
		return false, err
	}
	defer discard()
	// -l: the certificate is an authority itself, -L: nothing is fetched.
	r, err := k.run(ctx, k.security, "verify-cert", "-c", file, "-p", "ssl", "-l", "-L")
	return err == nil && r.code == 0, err
}

// fileFor returns a file that holds the certificate: the one it came from, or
// one that goes with discard.
func (k *keychain) fileFor(a anchor, text []byte) (file string, discard func(), err error) {
	if a.file != "" {
		return a.file, func() {}, nil
	}
	if !isDir(k.scratch) {
		// Nothing of ours was ever here, and a look makes no folders.
		dir, err := os.MkdirTemp("", "devproxy-")
		if err != nil {
			return "", nil, err
		}
		file = filepath.Join(dir, a.name+".pem")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			os.RemoveAll(dir)
			return "", nil, err
		}
		return file, func() { os.RemoveAll(dir) }, nil
	}
	file = k.exported(a)
	if err := atomicfile.Replace(file, text, 0o600); err != nil {
		return "", nil, err
	}
	return file, func() { os.Remove(file) }, nil
}

// exported is where a certificate lies while it is taken out.
func (k *keychain) exported(a anchor) string { return filepath.Join(k.scratch, a.name+".pem") }

func (k *keychain) verify(ctx context.Context, a anchor) (finding, error) {
	text, err := k.held(ctx, a)
	if err != nil {
		return finding{}, err
	}
	if text == nil {
		return finding{state: NotTrusted}, nil
	}
	ok, err := k.accepted(ctx, a, text)
	if err != nil {
		return finding{}, err
	}
	if !ok {
		return finding{state: NotTrusted, detail: "in the keychain, but without trust", fix: "trust again"}, nil
	}
	return finding{state: Trusted, ours: true}, nil
}

func (k *keychain) installCommand(a anchor) elevate.Command {
	c := elevate.Command{k.security, "add-trusted-cert"}
	if k.system {
		c = append(c, "-d")
	}
	return append(c, "-r", "trustRoot", "-p", "ssl", "-p", "basic", "-k", k.file, a.file)
}

const keychainAsks = "macOS asks for your password in a window of its own"

func (k *keychain) plan(_ context.Context, a anchor) []Step {
	return k.steps([]elevate.Command{k.installCommand(a)})
}

func (k *keychain) steps(commands []elevate.Command) []Step {
	steps := privilegedSteps(k, commands)
	for i := range steps {
		steps[i].Privileged = k.system
	}
	if len(steps) > 0 && !k.system {
		name, location := k.label()
		steps = append(steps, Step{Store: name, Location: location, Note: keychainAsks})
	}
	return steps
}

func (k *keychain) install(ctx context.Context, a anchor) error {
	return k.do(ctx, "add the root certificate to the system's keychain", []elevate.Command{k.installCommand(a)})
}

func (k *keychain) do(ctx context.Context, why string, commands []elevate.Command) error {
	if k.system {
		return k.privileged(ctx, why, commands)
	}
	for _, c := range commands {
		r, err := k.ask(ctx, c...)
		if err == nil && r.code != 0 {
			err = fmt.Errorf("security %s: %s", c[1], firstLine(r.errs))
		}
		if err != nil {
			return &problem{detail: err.Error(), fix: keychainAsks + ": allow it, or run " + c.String()}
		}
	}
	return nil
}

// removeCommands takes away trust first, where there is any: on a certificate
// without it that command fails.
func (k *keychain) removeCommands(ctx context.Context, as []anchor) (commands []elevate.Command, texts map[string][]byte, err error) {
	texts = make(map[string][]byte)
	for _, a := range as {
		text, err := k.held(ctx, a)
		if err != nil {
			return nil, nil, err
		}
		if text == nil {
			continue
		}
		ok, err := k.accepted(ctx, a, text)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			texts[k.exported(a)] = text
			c := elevate.Command{k.security, "remove-trusted-cert"}
			if k.system {
				c = append(c, "-d")
			}
			commands = append(commands, append(c, k.exported(a)))
		}
		block, _ := pem.Decode(text)
		digest := sha1.Sum(block.Bytes)
		commands = append(commands, elevate.Command{k.security, "delete-certificate", "-Z", strings.ToUpper(hex.EncodeToString(digest[:])), k.file})
	}
	return commands, texts, nil
}

func (k *keychain) planRemove(ctx context.Context, as []anchor) []Step {
	commands, texts, err := k.removeCommands(ctx, as)
	if err != nil {
		return []Step{noteStep(k, err)}
	}
	var steps []Step
	name, location := k.label()
	for _, a := range as {
		if file := k.exported(a); texts[file] != nil {
			steps = append(steps, Step{Store: name, Location: location, File: file})
		}
	}
	return append(steps, k.steps(commands)...)
}

func (k *keychain) remove(ctx context.Context, as []anchor) (removed bool, err error) {
	commands, texts, err := k.removeCommands(ctx, as)
	if err != nil || len(commands) == 0 {
		return false, err
	}
	// The root's own file may be long gone.
	for file, text := range texts {
		if err := atomicfile.Replace(file, text, 0o600); err != nil {
			return false, err
		}
	}
	err = k.do(ctx, "take the root certificate out of the system's keychain", commands)
	if err != nil {
		return false, err // the files stay: the commands that are shown need them
	}
	for file := range texts {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	return true, nil
}

func (k *keychain) gone(ctx context.Context, a anchor) (finding, error) {
	text, err := k.held(ctx, a)
	if err != nil {
		return finding{}, err
	}
	if text == nil {
		return finding{state: NotTrusted}, nil
	}
	ok, err := k.accepted(ctx, a, text)
	switch {
	case err != nil:
		return finding{}, err
	case !ok:
		return finding{detail: "the certificate is left in the keychain, without trust"}, nil
	}
	return finding{state: Trusted, detail: "still in the keychain"}, nil
}
