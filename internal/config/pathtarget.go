package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// anyFolder is for paths of which only the form matters.
const anyFolder = "/"

// longestSocket is the most bytes that the path of a socket can have: what
// sun_path holds besides the final NUL.
func longestSocket() int {
	if runtime.GOOS == "darwin" {
		return 103
	}
	return 107
}

// parsePathTarget parses what follows unix: or dir:. A relative path begins in
// folder.
func parsePathTarget(scheme, path, folder string) (*url.URL, *Error) {
	if path == "" {
		return nil, fault(fmt.Sprintf(`write "%s:/path"`, scheme), "%q has no path", scheme+":")
	}
	if e := checkPath(scheme, path); e != nil {
		return nil, e
	}
	clean, e := absolute(path, folder)
	if e != nil {
		return nil, e
	}
	if most := longestSocket(); scheme == "unix" && len(clean) > most {
		return nil, fault("move the socket to a shorter path",
			"the path of the socket, %q, has %d bytes, and systems take no more than %d", clean, len(clean), most)
	}
	return &url.URL{Scheme: scheme, Path: clean, OmitHost: true}, nil
}

// parseFile returns the absolute path of a file. A relative path begins in
// folder.
func parseFile(path, folder string) (string, *Error) {
	if e := checkPath("", path); e != nil {
		return "", e
	}
	return absolute(path, folder)
}

// absolute returns a path in clean form that does not depend on where devproxy
// runs.
func absolute(path, folder string) (string, *Error) {
	clean := path
	switch {
	case filepath.IsAbs(path):
	case strings.HasPrefix(path, "/"): // on Windows, where that is relative to a drive
		clean = filepath.VolumeName(folder) + path
	default:
		clean = filepath.Join(folder, path)
	}
	clean = filepath.Clean(clean)
	if strings.TrimSpace(clean) != clean { // "/tmp/x /" lost its slash
		return "", fault("remove the blank", "the path %q ends with a blank", path)
	}
	return clean, nil
}

// checkPath refuses paths that do not mean what their writer thought. The scheme
// is "" for a file.
func checkPath(scheme, path string) *Error {
	const asIs = "write the whole path"
	switch base := path[strings.LastIndexByte(path, '/')+1:]; {
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unprintable):
		return fault("", "the path %q contains a character that is not printable", path)
	case path[0] == ' ':
		return fault("remove the blank", "the path %q begins with a blank", path)
	case scheme != "" && strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"):
		return fault(fmt.Sprintf("write %q, or %q for one below the folder of the file", scheme+":"+path[1:], scheme+":"+path[2:]),
			"two slashes begin a host, which %s: has not", scheme)
	case path == "~" || strings.HasPrefix(path, "~/"):
		return fault(asIs, "in the path %q nothing puts a home folder in place of ~", path)
	case path[0] == '$':
		return fault(asIs, "in the path %q nothing puts a value in place of the variable", path)
	case scheme == "unix" && path[0] == '@':
		return fault(fmt.Sprintf("use a socket with a path; for a file of that name write %q", "unix:./"+path),
			"%q is an abstract socket, which is not supported", path)
	case scheme == "unix" && (base == "" || base == "." || base == ".."):
		return fault("name the socket itself; dir: serves the files of a folder", "the path %q is that of a folder, not of a socket", path)
	case scheme == "" && (base == "" || base == "." || base == ".."):
		return fault("name the file itself", "the path %q is that of a folder, not of a file", path)
	}
	return nil
}
