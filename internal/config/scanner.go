package config

import (
	"strconv"
	"strings"
)

// maxDepth bounds the parts of a key and the nesting of values. toml recurses
// once per bracket and takes quadratic time in the parts of a key, so a small
// file could otherwise exhaust the memory. An unquoted host name is a key of as
// many parts as it has labels; deeper than this is no mistake but malice.
const maxDepth = 64

// A scanner walks through a TOML text and notes where keys stand. Its methods
// return false at the first thing they do not understand; what that is, toml
// explains better.
type scanner struct {
	text    string
	pos     int
	counted int // line is right for this offset
	line    int
	places  []place
	deep    int
	context []string        // the table of the last header
	inArray bool            // that table is an element of an array
	nested  bool            // the value being read is an element of an array
	arrays  map[string]bool // paths of the arrays of tables
}

func (s *scanner) document() {
	for {
		s.skip(" \t\r\n")
		switch s.peek() {
		case 0:
			return
		case '#':
			s.comment()
		case '[':
			if !s.header() || !s.lineEnd() {
				return
			}
		default:
			if !s.assignment(s.context, s.inArray, 0) || !s.lineEnd() {
				return
			}
		}
	}
}

// header reads "[a.b]" or "[[a.b]]".
func (s *scanner) header() bool {
	start, kind := s.pos, tableHeader
	s.pos++
	if s.accept("[") {
		kind = arrayHeader
	}
	path, ok := s.key(nil)
	if !ok || !s.accept("]") || kind == arrayHeader && !s.accept("]") {
		return false
	}
	s.context, s.inArray = path, false
	if kind == arrayHeader {
		s.arrays[pathKey(path)] = true
	}
	for n := range path {
		s.inArray = s.inArray || s.arrays[pathKey(path[:n+1])]
	}
	s.note(path, kind, s.inArray, start)
	return true
}

// assignment reads "a.b = value" in a table.
func (s *scanner) assignment(table []string, repeatable bool, depth int) bool {
	start := s.pos
	path, ok := s.key(table)
	if !ok || !s.accept("=") {
		return false
	}
	i := s.note(path, valueKey, repeatable, start)
	s.skip(" \t")
	if !s.value(path, repeatable, depth) {
		return false
	}
	s.places[i].end = s.pos
	return true
}

// key reads the parts of a key and the blanks around it, and returns its path.
func (s *scanner) key(table []string) ([]string, bool) {
	path := append([]string(nil), table...)
	for {
		s.skip(" \t")
		part, ok := s.keyPart()
		if !ok {
			return nil, false
		}
		path = append(path, part)
		if len(path) > maxDepth {
			return nil, s.tooDeep()
		}
		s.skip(" \t")
		if !s.accept(".") {
			return path, true
		}
	}
}

func (s *scanner) keyPart() (string, bool) {
	start := s.pos
	switch s.peek() {
	case '\'':
		if !s.quoted("'", false, false) {
			return "", false
		}
		return s.text[start+1 : s.pos-1], true
	case '"':
		if !s.quoted(`"`, true, false) {
			return "", false
		}
		return unescape(s.text[start+1 : s.pos-1]), true
	}
	for s.pos < len(s.text) && isBare(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos], s.pos > start
}

// value reads a value; path is the key it belongs to.
func (s *scanner) value(path []string, repeatable bool, depth int) bool {
	if depth > maxDepth {
		return s.tooDeep()
	}
	rest := s.text[s.pos:]
	switch {
	case strings.HasPrefix(rest, `"""`):
		return s.quoted(`"""`, true, true)
	case strings.HasPrefix(rest, `'''`):
		return s.quoted(`'''`, false, true)
	case strings.HasPrefix(rest, `"`):
		return s.quoted(`"`, true, false)
	case strings.HasPrefix(rest, `'`):
		return s.quoted(`'`, false, false)
	case strings.HasPrefix(rest, "["):
		return s.array(path, depth)
	case strings.HasPrefix(rest, "{"):
		return s.sequence("}", func() bool { return s.assignment(path, repeatable, depth+1) })
	}
	// Numbers, dates and booleans, one of which has a blank inside.
	start := s.pos
	for s.pos < len(s.text) && !strings.ContainsRune(",]}#\r\n[{\"'=", rune(s.text[s.pos])) {
		s.pos++
	}
	return s.pos > start
}

// array reads an array and notes its elements, but not those of arrays in it.
func (s *scanner) array(path []string, depth int) bool {
	nested := s.nested
	s.nested = true
	n := 0
	ok := s.sequence("]", func() bool {
		if !nested {
			s.note(append(path[:len(path):len(path)], strconv.Itoa(n)), element, true, s.pos)
			n++
		}
		return s.value(path, true, depth+1)
	})
	s.nested = nested
	return ok
}

// sequence reads what stands between brackets, separated by commas.
func (s *scanner) sequence(closing string, item func() bool) bool {
	for s.pos++; ; {
		s.blank()
		if s.accept(closing) {
			return true
		}
		if !item() {
			return false
		}
		s.blank()
		if !s.accept(",") {
			return s.accept(closing)
		}
	}
}

// quoted reads a string that delimiter opens and closes.
func (s *scanner) quoted(delimiter string, escapes, lines bool) bool {
	for s.pos += len(delimiter); s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c == '\\' && escapes:
			s.pos++
		case c == '\n' && !lines:
			return false
		case strings.HasPrefix(s.text[s.pos:], delimiter):
			s.pos += len(delimiter)
			// """a"" and """" end with as many as two quotes of their own.
			for range 2 {
				if lines {
					s.accept(delimiter[:1])
				}
			}
			return true
		}
	}
	s.pos = len(s.text)
	return false
}

// note records a place that begins at start.
func (s *scanner) note(path []string, kind placeKind, repeatable bool, start int) int {
	s.places = append(s.places, place{path, kind, repeatable, start, s.pos, s.lineAt(start)})
	return len(s.places) - 1
}

// lineAt returns the line of an offset. Offsets are asked for in order.
func (s *scanner) lineAt(offset int) int {
	s.line += strings.Count(s.text[s.counted:offset], "\n")
	s.counted = offset
	return s.line
}

func (s *scanner) tooDeep() bool {
	s.deep = s.lineAt(min(s.pos, len(s.text)))
	return false
}

// lineEnd reads what may follow a statement on its line.
func (s *scanner) lineEnd() bool {
	s.skip(" \t")
	switch s.peek() {
	case 0, '\r', '\n':
		return true
	case '#':
		s.comment()
		return true
	}
	return false
}

// blank skips blanks, line ends and comments.
func (s *scanner) blank() {
	for {
		s.skip(" \t\r\n")
		if s.peek() != '#' {
			return
		}
		s.comment()
	}
}

func (s *scanner) comment() {
	if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.text)
	}
}

func (s *scanner) skip(blanks string) {
	for s.pos < len(s.text) && strings.IndexByte(blanks, s.text[s.pos]) >= 0 {
		s.pos++
	}
}

// peek returns the next byte, or 0 at the end: no TOML text holds that byte.
func (s *scanner) peek() byte {
	if s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) accept(token string) bool {
	if !strings.HasPrefix(s.text[s.pos:], token) {
		return false
	}
	s.pos += len(token)
	return true
}

func isBare(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// unescape resolves the escapes of a basic string. Ones that TOML does not
// know stay as they are.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}
	plain := map[byte]byte{'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', 'e': 0x1b, '"': '"', '\\': '\\'}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		kind := s[i+1]
		if c, ok := plain[kind]; ok {
			b.WriteByte(c)
			i++
			continue
		}
		if n, ok := digits[kind]; ok && i+2+n <= len(s) {
			if code, err := strconv.ParseUint(s[i+2:i+2+n], 16, 32); err == nil {
				b.WriteRune(rune(code))
				i += 1 + n
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
