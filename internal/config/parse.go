package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// maxSize bounds the size of a file, in bytes. A thousand routes take a tenth.
const maxSize = 1 << 20

// ReadFile reads and parses the file at path; see Parse. Errors of the file
// system can be matched (fs.ErrNotExist, fs.ErrPermission).
func ReadFile(path string) (*Config, error) {
	return ReadFileAs(path, path)
}

// ReadFileAs is ReadFile for a file that messages call shown, such as a path
// that is shorter because it starts in the working directory. Config.File comes
// from path.
func ReadFileAs(path, shown string) (*Config, error) {
	unreadable := func(err error) error { return fmt.Errorf("read %q: %w", shown, pathError(err)) }
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, &Error{File: shown, Message: "this is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return parse(path, shown, text)
}

// Parse returns what text, the content of file, says. The error is one or more
// of *Error, all mistakes in the order of their lines (see Errors). For a text
// without anything but blanks it matches ErrEmpty.
//
// The file is not opened: messages and Config.File need its name, and relative
// paths begin in its folder. What it names as client_ca is read.
func Parse(file string, text []byte) (*Config, error) {
	return parse(file, file, text)
}

// parse is Parse for the file at path, which messages call shown.
func parse(path, shown string, text []byte) (*Config, error) {
	if len(text) > maxSize {
		return nil, &Error{File: shown, Message: "the file is larger than 1 MiB", Hint: "is this a devproxy.toml?"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &Error{
			File:    shown,
			Message: ErrEmpty.Error(),
			Hint:    `write [routes] and, below it, a route such as "shop.localhost" = 5000`,
			cause:   ErrEmpty,
		}
	}
	if e := checkText(text); e != nil {
		e.File = shown
		return nil, e
	}
	p := &parser{file: shown, layout: layoutOf(string(text)), config: &Config{Log: defaultLog()}}
	values, err := p.decode(string(text))
	if err != nil {
		return nil, err
	}
	if p.folder, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("read %q: %w", shown, err)
	}
	if path != "" {
		p.config.File, p.folder = p.folder, filepath.Dir(p.folder)
	}
	p.readTop(table{p: p, values: values})
	p.settleClients()
	p.checkLoops()
	p.checkKeyLog()
	if len(p.mistakes) > 0 {
		byLine(p.mistakes)
		return nil, join(p.mistakes)
	}
	byLine(p.config.Warnings)
	return p.config, nil
}

// checkText refuses what is not a text at all, with the line where that shows.
// toml's own positions for such bytes are off by one.
func checkText(text []byte) *Error {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return &Error{Line: 1, Message: "the file is in UTF-16", Hint: "save it as UTF-8"}
	}
	line := 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		var e *Error
		switch {
		case r == utf8.RuneError && size == 1:
			e = fault("save the file as UTF-8", "byte 0x%02x is not UTF-8", text[i])
		case r == '\r' && !bytes.HasPrefix(text[i:], []byte("\r\n")):
			e = fault("save the file with line ends of Unix or Windows", "a carriage return that ends no line")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			e = fault(fmt.Sprintf(`is this a text file? In a quoted string write it as \u%04x`, r), "control character 0x%02x", r)
		}
		if e != nil {
			e.Line = line
			return e
		}
		if r == '\n' {
			line++
		}
		i += size
	}
	return nil
}

// A parser collects the mistakes of one file.
type parser struct {
	file     string // as messages call it
	folder   string // of the file or, where it has no name, the working directory; absolute
	layout   *layout
	config   *Config
	clients  []clientPolicy // in the order of the file
	mistakes []*Error
}

// report notes a mistake about the value at path, which people call key.
func (p *parser) report(e *Error, key string, path ...string) {
	e.File, e.Line, e.Key = p.file, p.layout.line(path...), key
	p.mistakes = append(p.mistakes, e.tidy())
}

// warn is report for what is not a mistake.
func (p *parser) warn(e *Error, line int) {
	e.File, e.Line = p.file, line
	p.config.Warnings = append(p.config.Warnings, e.tidy())
}

// decode returns the values of a TOML text, which it has in any type: into
// typed fields toml decodes only up to the first mistake.
func (p *parser) decode(text string) (values map[string]any, err error) {
	if p.layout.deep > 0 {
		return nil, &Error{File: p.file, Line: p.layout.deep, Message: "nested too deeply", Hint: "is this a devproxy.toml?"}
	}
	// toml panics when it meets a defect of its own. A reload must survive that.
	defer func() {
		if r := recover(); r != nil {
			e := fault("", "the TOML parser gave up: %v", r)
			e.File, e.Line = p.file, 1
			err = e.tidy()
		}
	}()
	clashes := p.layout.clashes()
	_, err = toml.Decode(text, &values)
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		// The position is right where the line is not: strings that end in
		// the middle and values that span lines.
		offset := min(max(0, syntax.Position.Start), len(text))
		at, _ := p.layout.before(offset)
		for _, c := range clashes {
			if c.at.offset == at.offset {
				p.reportClashes(clashes)
				byLine(p.mistakes)
				return nil, join(p.mistakes)
			}
		}
		line := 1 + strings.Count(text[:offset], "\n")
		e := fault(syntaxHint(lineOf(text, offset)), "not valid TOML: %s", syntax.Message)
		if aboutHeaders(at.path, lineOf(text, offset)) {
			e = fault(`strings stand in quotes: set = { X-Name = "value" }`, "not valid TOML; the line is not shown, as values of headers may be secret")
		}
		e.File, e.Line = p.file, line
		return nil, e.tidy()
	}
	if err != nil {
		return nil, &Error{File: p.file, Line: 1, Message: "not valid TOML: " + err.Error()}
	}
	p.reportClashes(clashes)
	return values, nil
}

func (p *parser) reportClashes(clashes []clash) {
	for _, c := range clashes {
		key, earlier := pathName(c.at.path), pathName(c.earlier.path)
		e := fault("keep one of the two", "already defined on line %d", c.earlier.line)
		switch {
		case key != earlier:
			e = fault("", "clashes with %s on line %d", earlier, c.earlier.line)
			longer := c.at.path
			if len(c.earlier.path) > len(longer) {
				longer = c.earlier.path
			}
			if longer[0] == "routes" && len(longer) > 2 {
				e.Hint = fmt.Sprintf("put the host name in quotes: %q", strings.Join(longer[1:], "."))
			}
		case c.at.kind == tableHeader && c.earlier.kind == tableHeader:
			e.Hint = fmt.Sprintf("put all its keys below the first [%s]", toml.Key(c.at.path))
		}
		// Not through report, which would name the line of the earlier one.
		e.File, e.Line, e.Key = p.file, c.at.line, key
		p.mistakes = append(p.mistakes, e.tidy())
	}
}

// pathName returns what messages call the key at path.
func pathName(path []string) string {
	if len(path) == 2 && path[0] == "routes" {
		return routeName(path[1])
	}
	return toml.Key(path).String()
}
