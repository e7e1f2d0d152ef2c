//go:build pgo

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
)

// profileVariable names the file that TestLoad writes; "make pgo" sets it.
const profileVariable = "DEVPROXY_TEST_PROFILE"

// TestLoad profiles the program under load, for the compiler. Clients and
// backend are another process: they use the same libraries, and would blur what
// a proxy does with them.
func TestLoad(t *testing.T) {
	if os.Getenv(loadVariable) != "" {
		t.Skip("this is the other process")
	}
	name := os.Getenv(profileVariable)
	if name == "" {
		t.Skipf("%s names no file", profileVariable)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestLoadClients$", "-test.v")
	cmd.Env = append(os.Environ(), loadVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	results := bufio.NewScanner(out)
	backend := ""
	for backend == "" && results.Scan() {
		_, backend, _ = strings.Cut(results.Text(), "backend ")
	}

	home := t.TempDir()
	file := filepath.Join(home, "devproxy.toml")
	text := fmt.Sprintf("listen = [\"127.0.0.1:0\"]\nredirect = []\n[log]\naccess = false\n[routes]\n\"app.localhost\" = %q\n\"*.app.localhost\" = %q\n", backend, backend)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		switch name {
		case "HOME":
			return home
		case "DEVPROXY_HOME":
			return filepath.Join(home, "state")
		}
		return ""
	}
	ctx, cancel := context.WithCancel(t.Context())
	stderr := newLines()
	served := make(chan int, 1)
	go func() {
		served <- run(ctx, []string{"devproxy", "serve", "--config", file}, env, strings.NewReader(""), io.Discard, stderr)
	}()
	port := stderr.wait(t, `"port": (\d+)`)[1]
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, port)
	go func() {
		for range stderr.text { // what else is logged is of no interest
		}
	}()
	for results.Scan() {
		fmt.Println(results.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the clients: %v", err)
	}
	pprof.StopCPUProfile()
	cancel()
	if code := <-served; code != exitDone {
		t.Errorf("serve ends with %d", code)
	}
	stderr.w.Close()
	if t.Failed() {
		return
	}
	stripped, err := withoutPaths(&profile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, stripped, 0o644); err != nil {
		t.Fatal(err)
	}
}

// withoutPaths returns a profile without absolute paths, which are about the
// machine that it was made on: those of the program and of its libraries.
func withoutPaths(profile io.Reader) ([]byte, error) {
	zr, err := gzip.NewReader(profile)
	if err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(zr)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // fails only for levels that do not exist
	// The encoding is Protocol Buffers', in which a message is its fields: a key,
	// then a number or, for all else here, a length and as many bytes.
	const varint, bytesField, stringTable = 0, 2, 6
	for len(rest) > 0 {
		key, n := binary.Uvarint(rest)
		value, m := binary.Uvarint(rest[max(n, 0):])
		if n <= 0 || m <= 0 || key&7 == bytesField && value > uint64(len(rest)-n-m) {
			return nil, errors.New("the profile is cut off")
		}
		end := n + m
		switch key & 7 {
		case varint:
		case bytesField:
			end += int(value)
		default:
			return nil, fmt.Errorf("the profile has a field of type %d", key&7)
		}
		field := rest[:end]
		if key>>3 == stringTable && bytes.HasPrefix(field[n+m:], []byte("/")) {
			field = binary.AppendUvarint(binary.AppendUvarint(nil, key), 0)
		}
		zw.Write(field)
		rest = rest[end:]
	}
	err = zw.Close()
	return out.Bytes(), err
}
