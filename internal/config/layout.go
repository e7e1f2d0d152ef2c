package config

import "encoding/binary"

// A layout says where the keys of a TOML text stand. toml itself does not tell
// that for keys it has no complaint about.
type layout struct {
	places []place
	deep   int // the line where the nesting passed maxDepth; 0 if nowhere
	index  map[string]int
}

// A place is where a key, a table header or an element of an array stands.
type place struct {
	path       []string // from the root; for an element the last part is its number
	kind       placeKind
	repeatable bool // lies in an array, so that its path may occur again
	offset     int  // of the first byte of the key or element
	end        int  // of the byte after the value of a key
	line       int  // from 1
}

type placeKind int

const (
	valueKey placeKind = iota
	tableHeader
	arrayHeader
	element
)

// layoutOf finds the places of text, in order. Of a text that is not valid TOML
// it finds those before the mistake; it never fails.
func layoutOf(text string) *layout {
	s := scanner{text: text, line: 1, arrays: map[string]bool{}}
	s.document()
	l := &layout{places: s.places, deep: s.deep, index: make(map[string]int, len(s.places))}
	for i, p := range l.places {
		// The first place of a path counts. A table that only the names of
		// others imply ("a" in [a.b]) stands where the first of them does.
		key := pathKey(p.path)
		first, known := l.index[key]
		if !known || len(l.places[first].path) > len(p.path) {
			l.index[key] = i
		}
		for n := len(p.path) - 1; n > 0 && !known; n-- {
			outer := pathKey(p.path[:n])
			if _, known = l.index[outer]; !known {
				l.index[outer] = i
			}
		}
	}
	return l
}

// pathKey makes a path comparable: each part after its length, for a part can
// hold any character.
func pathKey(path []string) string {
	var buf [128]byte
	key := buf[:0]
	for _, part := range path {
		key = binary.AppendUvarint(key, uint64(len(part)))
		key = append(key, part...)
	}
	return string(key)
}

// find returns the place of a path or, for one that is not in the text, of the
// nearest table around it.
func (l *layout) find(path ...string) (place, bool) {
	for n := len(path); n > 0; n-- {
		if i, ok := l.index[pathKey(path[:n])]; ok {
			return l.places[i], true
		}
	}
	return place{}, false
}

// line returns the line of find's place, or 0 when there is none.
func (l *layout) line(path ...string) int {
	p, _ := l.find(path...)
	return p.line
}

// before returns the last place that begins at or before offset.
func (l *layout) before(offset int) (place, bool) {
	for i := len(l.places) - 1; i >= 0; i-- {
		if l.places[i].offset <= offset {
			return l.places[i], true
		}
	}
	return place{}, false
}

// A clash is a key that cannot mean anything because of an earlier one.
type clash struct{ at, earlier place }

// clashes returns the keys that define something which is defined already, or
// that take a value for a table or a table for a value. toml rejects the first
// of them in most cases, and silently drops the value of "a = 1" after
// "a.b = 1".
func (l *layout) clashes() []clash {
	var (
		found   []clash
		defined = map[string]int{}  // by whole path
		implied = map[string]int{}  // by the path of a table around it
		broken  = map[string]bool{} // paths of tables that clash themselves
	)
	for i, p := range l.places {
		if p.kind == element || p.kind == arrayHeader || p.repeatable {
			continue
		}
		key := pathKey(p.path)
		first, clashing := defined[key]
		if !clashing && p.kind == valueKey {
			first, clashing = implied[key]
		}
		if !clashing {
			defined[key] = i
		}
		for n := len(p.path) - 1; n > 0 && !clashing; n-- {
			outer := pathKey(p.path[:n])
			if broken[outer] {
				break
			}
			if _, ok := implied[outer]; !ok {
				implied[outer] = i
			}
			// The keys of an inline table lie before its end.
			first, clashing = defined[outer]
			clashing = clashing && l.places[first].kind == valueKey && l.places[first].end <= p.offset
		}
		if clashing {
			found = append(found, clash{p, l.places[first]})
			broken[key] = true
		}
	}
	return found
}
