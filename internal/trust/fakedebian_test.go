//go:build linux

package trust

import (
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devproxy/internal/elevate"
)

// fakeDebian is a Debian file system in a folder, and an elevate function that
// does there what the real commands do, as clients.md §3 saw it.
type fakeDebian struct {
	t       *testing.T
	d       *debian
	java    map[string][]byte // Java's store: alias to DER; nil if we leave it alone
	fail    map[string]error  // by base name of the program
	runs    []elevate.Command
	reasons []string
}

func newFakeDebian(t *testing.T, m *Machine) *fakeDebian {
	t.Helper()
	d := m.debian()
	f := &fakeDebian{t: t, d: d, java: map[string][]byte{}, fail: map[string]error{}}
	mkdir(t, d.anchors)
	mkdir(t, d.certs)
	for _, tool := range []string{d.update, d.javaHook} {
		writeFile(t, tool, []byte("#!/bin/sh\nexit 99\n"))
		if err := os.Chmod(tool, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	other, _ := newRoot(t)
	writeFile(t, filepath.Join(d.anchors, "company.crt"), rootPEM(other))
	f.refresh()
	m.cfg.Elevate = f.elevate
	return f
}

func (f *fakeDebian) elevate(_ context.Context, why string, commands []elevate.Command) error {
	f.reasons = append(f.reasons, why)
	for _, c := range commands {
		f.runs = append(f.runs, c)
		if err := f.fail[filepath.Base(c[0])]; err != nil {
			return err
		}
		f.do(c)
	}
	return nil
}

func (f *fakeDebian) do(c elevate.Command) {
	f.t.Helper()
	switch {
	case c[0] == "/usr/bin/install":
		data, err := os.ReadFile(c[3])
		if err != nil {
			f.t.Fatal(err)
		}
		writeFile(f.t, c[4], data)
	case c[0] == "/bin/rm":
		for _, file := range c[2:] {
			os.Remove(file)
		}
	case c[0] == f.d.update:
		f.refresh()
	case c[0] == "/bin/sh" && strings.HasSuffix(c[2], "| "+f.d.javaHook):
		for word := range strings.FieldsSeq(c[2]) {
			if file, ok := strings.CutPrefix(word, "-"); ok {
				delete(f.java, "debian:"+filepath.Base(file))
			}
		}
		f.saveJava()
	default:
		f.t.Fatalf("unexpected command: %s", c)
	}
}

// refresh is update-ca-certificates: it makes links for new anchors, leaves
// stale ones behind, and only adds to Java's store.
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
		os.Symlink(file, filepath.Join(f.d.certs, name))
		os.Symlink(name, filepath.Join(f.d.certs, "hash-"+name+".0"))
		if f.java != nil {
			block, _ := pem.Decode(data)
			f.java["debian:"+name] = block.Bytes
		}
	}
	writeFile(f.t, f.d.bundle, bundle)
	f.saveJava()
}

func (f *fakeDebian) saveJava() {
	if f.java == nil {
		return
	}
	var entries []jksEntry
	for alias, der := range f.java {
		entries = append(entries, jksEntry{alias: alias, der: der})
	}
	writeFile(f.t, f.d.java, makeJKS(2, entries...))
}

// files returns every path of the system and what it holds.
func (f *fakeDebian) files() map[string]string {
	all := make(map[string]string)
	for _, dir := range []string{f.d.anchors, f.d.certs} {
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
