package clientenv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"devproxy/internal/atomicfile"
)

// A bundle is text that says where each of its parts came from: what a person
// had is found again when only the bundle is named, and a part whose source is
// gone is kept as it was.
const (
	firstLine  = "# Written by devproxy whenever one of its parts changes: what you change here is lost.\n"
	partLine   = "# devproxy: "
	partRoot   = "root"
	partSystem = "system"
	partJoined = "joined " // and the path, quoted as in Go
)

// A file is one of the bundles: its kind and the file of the person that it
// joins, an absolute path, "" for none.
type file struct {
	kind   kind
	joined string
}

// path returns the same for the same file, always.
func (b Bundles) path(f file) string {
	switch {
	case f.joined != "":
		sum := sha256.Sum256([]byte(f.joined))
		return filepath.Join(b.Dir, fmt.Sprintf("%s-%s.pem", f.kind, hex.EncodeToString(sum[:8])))
	case f.kind == adding:
		return b.RootFile
	}
	return filepath.Join(b.Dir, string(f.kind)+".pem")
}

// content is what a bundle holds. Certificates are in DER.
type content struct {
	joined       string
	system, user [][]byte
}

// joinedIn returns what the file that a person's variable names adds to ours:
// itself or, if it is one of the bundles, what that joins; nothing if it is
// our root or the system's roots. recognised says that it was one of these.
func (b Bundles) joinedIn(path string, system systemRoots) (joined string, recognised bool, err error) {
	if b.owns(path) {
		if path == b.path(file{kind: combined}) {
			return "", true, nil
		}
		c, err := b.read(path)
		if err != nil {
			return "", false, err
		}
		return c.joined, true, nil
	}
	for _, known := range []string{b.RootFile, system.path} {
		if sameFile(path, known) {
			return "", true, nil
		}
	}
	return path, false, nil
}

// owns reports whether path is, by its name, one of the bundles.
func (b Bundles) owns(path string) bool {
	if _, ok := kindOf(filepath.Base(path)); !ok {
		return false
	}
	dir := filepath.Dir(path)
	return dir == filepath.Clean(b.Dir) || sameFile(dir, b.Dir)
}

// kindOf returns the kind of bundle that has a name.
func kindOf(name string) (kind, bool) {
	stem, ok := strings.CutSuffix(name, ".pem")
	if !ok {
		return "", false
	}
	k, sum, joins := strings.Cut(stem, "-")
	switch {
	case kind(k) == combined && !joins:
		return combined, true
	case joins && len(sum) == 16 && (kind(k) == combined || kind(k) == adding):
		return kind(k), true
	}
	return "", false
}

func sameFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// existing returns the bundles that are there.
func (b Bundles) existing() ([]file, error) {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		k, ok := kindOf(e.Name())
		if !ok {
			continue
		}
		f := file{kind: k}
		if path := filepath.Join(b.Dir, e.Name()); path != b.path(f) {
			c, err := b.read(path)
			if err != nil {
				continue // nothing says what it should hold; who uses it is told by Variables
			}
			f.joined = c.joined
		}
		files = append(files, f)
	}
	return files, nil
}

// update brings a bundle up to date and returns its path, "" if it would hold
// nothing but our root where that replaces a client's roots. A part that cannot
// be read stays as it was, with a warning.
func (b Bundles) update(f file, system systemRoots) (path, warning string, err error) {
	path = b.path(f)
	if path == b.RootFile {
		return path, "", nil
	}
	old, oldErr := b.read(path)
	next := content{joined: f.joined}
	if f.kind == combined {
		next.system = system.certs
		if system.err != nil && oldErr == nil {
			next.system = old.system
		}
	}
	if f.joined != "" {
		next.user, err = readCertificates(f.joined)
		if err != nil {
			if oldErr != nil {
				return "", "", err
			}
			next.user = old.user
			warning = fmt.Sprintf("%v; %s keeps what it had from there", err, path)
		}
	}
	if f.kind == combined && len(next.system) == 0 && len(next.user) == 0 {
		return "", warning, nil
	}
	data := next.encode(b.Root.Raw)
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, data) {
		return path, warning, nil
	}
	if err := atomicfile.Replace(path, data, 0o644); err != nil {
		return "", "", fmt.Errorf("write %s: %w", path, atomicfile.Cause(err))
	}
	return path, warning, nil
}

// encode returns a bundle's text. No certificate is in it twice.
func (c content) encode(root []byte) []byte {
	var out bytes.Buffer
	out.WriteString(firstLine)
	seen := map[[sha256.Size]byte]bool{}
	part := func(name string, certs [][]byte) {
		out.WriteString(partLine + name + "\n")
		for _, der := range certs {
			sum := sha256.Sum256(der)
			if seen[sum] {
				continue
			}
			seen[sum] = true
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a buffer takes it
		}
	}
	part(partRoot, [][]byte{root})
	if c.joined != "" {
		part(partJoined+strconv.QuoteToASCII(c.joined), c.user)
	}
	if c.system != nil {
		part(partSystem, c.system)
	}
	return out.Bytes()
}

// read returns what a bundle at path holds.
func (b Bundles) read(path string) (content, error) {
	data, err := readFile(path)
	if err != nil {
		return content{}, err
	}
	c, err := decode(data)
	if err != nil {
		return content{}, fmt.Errorf("%s, a file of devproxy, %w", path, err)
	}
	if name := filepath.Base(path); c.joined != "" {
		k, _ := kindOf(name)
		if want := b.path(file{k, c.joined}); filepath.Base(want) != name {
			return content{}, fmt.Errorf("%s, a file of devproxy, was given another name", path)
		}
	}
	return c, nil
}

// decode reads what encode wrote.
func decode(data []byte) (c content, err error) {
	rest, ok := strings.CutPrefix(string(data), firstLine)
	if !ok {
		return content{}, errors.New("has lost its first line")
	}
	for text := range strings.SplitSeq("\n"+rest, "\n"+partLine) {
		name, blocks, _ := strings.Cut(text, "\n")
		certs, err := parseCertificates([]byte(blocks))
		if err != nil {
			return content{}, err
		}
		quoted, joined := strings.CutPrefix(name, partJoined)
		switch {
		case joined:
			if c.joined, err = strconv.Unquote(quoted); err != nil || c.joined == "" {
				return content{}, fmt.Errorf("is damaged: it joins %s", quoted)
			}
			c.user = certs
		case name == partSystem:
			c.system = certs
		}
	}
	return c, nil
}
