package static

import (
	"path/filepath"
	"runtime"
	"strings"
)

// localName turns the path of a URL, decoded, into the name of a file within
// the folder, "." for the folder itself, and reports whether it may be asked
// for. Empty elements count for nothing, as with nginx. Hidden elements are
// refused, and with them "." and "..". So are backslashes, which separate
// elements on Windows: what is served shall not depend on the system.
func localName(path string) (string, bool) {
	var elements []string
	for element := range strings.SplitSeq(path, "/") {
		if element == "" {
			continue
		}
		if hidden(element) || strings.ContainsRune(element, '\\') ||
			runtime.GOOS == "windows" && aliasOnWindows(element) {
			return "", false
		}
		elements = append(elements, element)
	}
	if len(elements) == 0 {
		return ".", true
	}
	name, err := filepath.Localize(strings.Join(elements, "/"))
	return name, err == nil && filepath.IsLocal(name)
}

// hidden reports whether a name begins with a dot, or does so for a file
// system that ignores invisible characters, as HFS+ does (CVE-2014-9390).
func hidden(element string) bool {
	visible := strings.TrimLeft(element, "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff")
	return strings.HasPrefix(visible, ".")
}

// aliasOnWindows reports whether Windows takes the name for another one, or
// for more than one. A file then could be had by a name that localName does
// not know: .git as GIT~1, say.
func aliasOnWindows(element string) bool {
	if strings.HasSuffix(element, ".") || strings.HasSuffix(element, " ") {
		return true // cut off on opening
	}
	for _, c := range element {
		if c < ' ' || strings.ContainsRune(`<>:"|?*`, c) {
			return true // streams and wildcards; no file has such a name
		}
	}
	// A short name: at most 8 characters that end in "~" and a number, and an
	// extension of at most 3.
	base, extension, _ := strings.Cut(element, ".")
	tilde := strings.LastIndexByte(base, '~')
	return tilde >= 0 && len(base) <= 8 && len(extension) <= 3 &&
		tilde < len(base)-1 && strings.Trim(base[tilde+1:], "0123456789") == ""
}
