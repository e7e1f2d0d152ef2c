package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"devproxy/internal/hostname"
)

// The lines around the block. A marker may be followed by a space and
// anything, so that the wording can change without orphaning older blocks.
const (
	begin     = "# devproxy begin"
	end       = "# devproxy end"
	beginLine = begin + ` (written by "devproxy hosts sync", removed by "devproxy hosts clean")`
)

// update returns content, a hosts file, with exactly names in devproxy's
// block: a line for each with each of addrs, in the order of the alphabet.
// A block that is there is replaced where it stands, else one is appended.
// Without names the block goes, and the file is what it was before the block
// came. Other bytes never change; lines there that name the same hosts do no
// harm and get none of our attention.
//
// update fails, with the line, for markers that do not form one block, and for
// content or names that have no place in a hosts file.
func update(content []byte, names []string, addrs []netip.Addr) ([]byte, error) {
	names, err := normalize(names)
	if err != nil {
		return nil, err
	}
	f, err := parse(content)
	if err != nil {
		return nil, err
	}
	return slices.Concat(f.before, f.render(names, addrs), f.after), nil
}

// Expressible parts route hosts into those that a hosts file can hold and
// wildcards ("*.shop.localhost"), which it cannot.
func Expressible(hosts []string) (names, wildcards []string) {
	for _, h := range hosts {
		if strings.HasPrefix(h, "*.") {
			wildcards = append(wildcards, h)
		} else {
			names = append(names, h)
		}
	}
	return names, wildcards
}

// loopback returns the addresses of both families.
func loopback() []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
}

func normalize(names []string) ([]string, error) {
	var normal []string
	var errs []error
	for _, name := range names {
		n, err := hostname.Normalize(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		normal = append(normal, n)
	}
	slices.Sort(normal)
	return slices.Compact(normal), errors.Join(errs...)
}

// A file is a hosts file around its block. What is outside the block is
// before + after.
type file struct {
	before, after []byte
	newline       string // of the block's lines

	// bare says that the file does not end in a newline. Then neither does the
	// block, and the newline in front of it is the block's own: so the file
	// tells by itself what removal has to restore.
	bare bool
}

func parse(content []byte) (file, error) {
	if i := bytes.IndexByte(content, 0); i >= 0 {
		return file{}, fmt.Errorf("line %d: not a text file: it contains a NUL byte", 1+bytes.Count(content[:i], []byte("\n")))
	}
	start, stop, err := locate(content)
	if err != nil {
		return file{}, err
	}
	if start < 0 {
		return file{
			before:  content,
			newline: newlineOf(content),
			bare:    len(content) > 0 && content[len(content)-1] != '\n',
		}, nil
	}
	f := file{before: content[:start], after: content[stop:], newline: newlineOf(content[start:])}
	if own, ok := bytes.CutSuffix(f.before, []byte(f.newline)); ok && stop == len(content) && content[stop-1] != '\n' && len(own) > 0 {
		f.before, f.bare = own, true
	}
	return f, nil
}

// newlineOf returns how the first line of text ends.
func newlineOf(text []byte) string {
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// locate returns where the block's lines begin and end, or -1.
func locate(content []byte) (start, stop int, err error) {
	start, stop = -1, -1
	startLine, offset, n := 0, 0, 0
	for line := range bytes.Lines(content) {
		n++
		switch {
		case is(line, begin) && stop >= 0:
			return 0, 0, fmt.Errorf("line %d: a second devproxy block; the first begins at line %d", n, startLine)
		case is(line, begin) && start >= 0:
			return 0, 0, fmt.Errorf("line %d: a devproxy block begins inside that of line %d", n, startLine)
		case is(line, begin):
			start, startLine = offset, n
		case is(line, end) && (start < 0 || stop >= 0):
			return 0, 0, fmt.Errorf("line %d: %q without a beginning", n, end)
		case is(line, end):
			stop = offset + len(line)
		}
		offset += len(line)
	}
	if start >= 0 && stop < 0 {
		return 0, 0, fmt.Errorf("line %d: devproxy block without %q", startLine, end)
	}
	return start, stop, nil
}

func is(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(marker))
	return ok && (len(rest) == 0 || rest[0] == ' ')
}

func (f file) render(names []string, addrs []netip.Addr) []byte {
	if len(names) == 0 {
		return nil
	}
	lines := []string{beginLine}
	for _, name := range names {
		for _, addr := range addrs {
			lines = append(lines, addr.String()+" "+name)
		}
	}
	lines = append(lines, end)
	block := strings.Join(lines, f.newline)
	if f.bare {
		return []byte(f.newline + block)
	}
	return []byte(block + f.newline)
}
