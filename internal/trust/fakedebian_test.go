//go:build linux

package trust

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"devproxy/internal/elevate"
)

// fakeDebian is a Debian file system in a folder, and an elevate function that
// does there what the real commands do, as clients.md §3 saw it.
type fakeDebian struct {
	t       *testing.T
	d       *system
	hook    string
	java    map[string][]byte // Java's store: alias to DER; nil if we leave it alone
	locked  bool              // dpkg is, so that the hook does nothing
	fail    map[string]error  // by base name of the program
	runs    []elevate.Command
	reasons []string
}

// debian returns the system store of Debian.
func (m *Machine) debian() *system {
	all := layouts()
	return m.system(all[slices.IndexFunc(all, func(l layout) bool { return l.kind == kindDebian })])
}

// runnable makes a program that nobody is to run.
func runnable(t *testing.T, file string) {
	t.Helper()
	writeFile(t, file, []byte("#!/bin/sh\nexit 99\n"))
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
}

func newFakeDebian(t *testing.T, m *Machine) *fakeDebian {
	t.Helper()
	runnable(t, m.at("/usr/sbin/update-ca-certificates"))
	runnable(t, m.at("/usr/bin/install"))
	d := m.debian()
	f := &fakeDebian{t: t, d: d, hook: d.java.hook, java: map[string][]byte{}, fail: map[string]error{}}
	mkdir(t, d.anchors)
	mkdir(t, d.links)
	runnable(t, f.hook)
	other, _ := newRoot(t)
	writeFile(t, filepath.Join(d.anchors, "company.crt"), rootPEM(other))
	f.refresh()
	m.cfg.Elevate = f.elevate
	return f
}

// without makes m find no store of a kind. What its receipts name m opens as
// before.
func without(m *Machine, name string) {
	m.kinds = slices.Clone(m.kinds)
	for i := range m.kinds {
		if m.kinds[i].name == name {
			m.kinds[i].find = findNone
		}
	}
}

// newOldDebian is a Debian whose store stands for Java's, too, as in receipts
// from before Java had a store of its own.
func newOldDebian(t *testing.T, m *Machine) *fakeDebian {
	t.Helper()
	without(m, kindSystemJava)
	return newFakeDebian(t, m)
}

func (f *fakeDebian) elevate(_ context.Context, why string, commands []elevate.Command) error {
	f.reasons = append(f.reasons, why)
	for _, c := range commands {
		f.runs = append(f.runs, c)
		program, _, _ := strings.Cut(c.String(), " ")
		if err := f.fail[filepath.Base(program)]; err != nil {
			return err
		}
		f.do(c)
	}
	return nil
}

func (f *fakeDebian) do(c elevate.Command) {
	f.t.Helper()
	switch {
	case isInstall(c):
		doInstall(f.t, c)
	case c[0] == "/bin/rm":
		for _, file := range c[2:] {
			os.Remove(file)
		}
	case c[0] == f.d.refresh[0]:
		f.refresh()
	case c[0] == "/bin/sh" && strings.HasSuffix(c[2], "| "+f.hook):
		for word := range strings.FieldsSeq(c[2]) {
			if file, ok := strings.CutPrefix(word, "-"); ok {
				f.tell('-', file)
			} else if file, ok := strings.CutPrefix(word, "+"); ok {
				f.tell('+', file)
			}
		}
		f.saveJava()
	default:
		f.t.Fatalf("unexpected command: %s", c)
	}
}

// tell is the hook for Java's store; while dpkg is locked it does nothing.
func (f *fakeDebian) tell(sign byte, link string) {
	if f.java == nil || f.locked {
		return
	}
	alias := "debian:" + filepath.Base(link)
	if sign == '-' {
		delete(f.java, alias)
		return
	}
	data, err := os.ReadFile(link)
	if err != nil {
		f.t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	f.java[alias] = block.Bytes
}

// refresh is update-ca-certificates: it makes links and tells the hook only of
// anchors that have no link yet, and without any leaves stale links behind.
func (f *fakeDebian) refresh() {
	f.t.Helper()
	files, _ := filepath.Glob(filepath.Join(f.d.anchors, "*.crt"))
	var bundle []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.t.Fatal(err)
		}
		bundle = append(bundle, data...)
		name := strings.TrimSuffix(filepath.Base(file), ".crt") + ".pem"
		link := filepath.Join(f.d.links, name)
		if os.Symlink(file, link) != nil {
			continue
		}
		f.clearDangling()
		f.rehash(data, name)
		f.tell('+', link)
	}
	writeFile(f.t, f.d.bundle, bundle)
	f.saveJava()
}

func (f *fakeDebian) clearDangling() {
	links, _ := filepath.Glob(filepath.Join(f.d.links, "*"))
	for _, link := range links {
		if _, err := os.Stat(link); err != nil {
			os.Remove(link)
		}
	}
}

func (f *fakeDebian) rehash(data []byte, name string) {
	f.t.Helper()
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		f.t.Fatal(err)
	}
	hash, err := subjectHash(cert.RawSubject)
	if err != nil {
		f.t.Fatal(err)
	}
	for n := 0; ; n++ {
		link := filepath.Join(f.d.links, fmt.Sprintf("%s.%d", hash, n))
		if target, err := os.Readlink(link); err == nil && target != name {
			continue
		}
		os.Symlink(name, link)
		return
	}
}

func (f *fakeDebian) saveJava() {
	if f.java == nil {
		return
	}
	var entries []jksEntry
	for alias, der := range f.java {
		entries = append(entries, jksEntry{alias: alias, der: der})
	}
	writeFile(f.t, f.d.java.file, makeJKS(2, entries...))
}

// files returns every path of the system and what it holds.
func (f *fakeDebian) files() map[string]string {
	all := make(map[string]string)
	for _, dir := range []string{f.d.anchors, f.d.links} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if target, err := os.Readlink(path); err == nil {
				all[path] = "-> " + target
			} else {
				data, _ := os.ReadFile(path)
				all[path] = string(data)
			}
		}
	}
	return all
}

// isInstall reports whether root copies the certificate with c.
func isInstall(c elevate.Command) bool {
	return strings.Contains(c.String(), "/install -m 0644 ")
}

func doInstall(t testing.TB, c elevate.Command) {
	t.Helper()
	words := strings.Fields(c.String())
	data, err := os.ReadFile(words[3])
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, words[4], data)
}
