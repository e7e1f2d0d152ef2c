package elevate

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote returns word as a POSIX shell reads it.
func quote(word string) string {
	unsafe := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
			!strings.ContainsRune("-_./=:@%+,", r)
	}
	switch {
	case word != "" && !strings.ContainsFunc(word, unsafe):
		return word
	case isPrintable(word):
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	// Not every sh knows $'…', and what $(…) prints loses the newlines at its
	// end, which therefore stand for themselves.
	text := strings.TrimRight(word, "\n")
	var quoted string
	if text != "" {
		quoted = `"$(printf '` + format(text) + `')"`
	}
	if newlines := word[len(text):]; newlines != "" {
		quoted += "'" + newlines + "'"
	}
	return quoted
}

// isPrintable reports whether text shows as it is, and so can neither steer a
// terminal nor change the order of what is read.
func isPrintable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// format returns what printf(1) prints text for. Besides what is special to it
// and to single quotes, it writes bytes by number for an exclamation mark,
// which recalls a line of the history even there, and for the hyphen of an
// option.
func format(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		char := text[i : i+size]
		if !isPrintable(char) || strings.ContainsRune(`'\%!`, r) || i == 0 && r == '-' {
			for _, b := range []byte(char) {
				fmt.Fprintf(&out, `\%03o`, b)
			}
		} else {
			out.WriteString(char)
		}
		i += size
	}
	return out.String()
}
