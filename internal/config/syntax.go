package config

import (
	"fmt"
	"strings"
)

// lineOf returns the line of text around offset.
func lineOf(text string, offset int) string {
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return strings.TrimSuffix(line, "\r")
}

// syntaxHint guesses what is wrong with a line that toml does not understand.
func syntaxHint(line string) string {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '[' || line[0] == '#' {
		return ""
	}
	key, value, ok := splitAssignment(line)
	switch {
	case strings.ContainsAny(line[:1], `"'`) && key == "":
		return closeQuote
	case !ok:
		return "write = between a key and its value"
	case value == "":
		return "write a value behind the ="
	}
	bareKey := strings.Trim(key, bareLetters+".") == "" || strings.ContainsAny(key[:1], `"'`)
	quotedKey := key
	if !bareKey || key[0] != '"' && strings.Contains(key, ".") {
		quotedKey = quote(key)
	}
	switch word := uncomment(value); {
	case value[0] == '"' && strings.Contains(value, `\`):
		return `in "…" write \\ for a backslash, or put the string in '…'`
	case strings.ContainsAny(value[:1], `"'`) && strings.Count(value, value[:1])%2 == 1:
		return closeQuote
	case strings.EqualFold(word, "true"), strings.EqualFold(word, "false"):
		return fmt.Sprintf("write %s = %s", quotedKey, strings.ToLower(word))
	case strings.ContainsAny(value[:1], "\"'[{") || isPlainNumber(value):
		if bareKey {
			return ""
		}
		return fmt.Sprintf("put the name in quotes: %s = %s", quotedKey, value)
	default:
		return fmt.Sprintf("put strings in quotes: %s = %s", quotedKey, quote(word))
	}
}

const (
	closeQuote  = "close the quotes: a string ends on the line where it begins"
	bareLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// splitAssignment cuts "key = value". The key keeps its quotes; it is empty
// when they are not closed.
func splitAssignment(line string) (key, value string, ok bool) {
	end := strings.IndexByte(line, '=')
	if strings.ContainsAny(line[:1], `"'`) {
		closing := strings.IndexByte(line[1:], line[0]) + 1
		if closing == 0 {
			return "", "", false
		}
		end = closing + 1
	}
	if end <= 0 {
		return line, "", false
	}
	value, ok = strings.CutPrefix(strings.TrimSpace(line[end:]), "=")
	return strings.TrimSpace(line[:end]), strings.TrimSpace(value), ok
}

// isPlainNumber reports whether a value begins like a number and is no address.
func isPlainNumber(value string) bool {
	return strings.ContainsAny(value[:1], "+-0123456789") && !strings.ContainsAny(value, ".:/")
}

func quote(s string) string { return `"` + strings.Trim(s, `"'`) + `"` }

// uncomment returns an unquoted value without the comment behind it.
func uncomment(value string) string {
	value, _, _ = strings.Cut(value, " #")
	return strings.TrimSpace(value)
}
