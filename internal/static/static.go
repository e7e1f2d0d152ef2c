// Package static serves the files of a folder over HTTP: what is behind a
// dir: target. A developer's page must look as it will in production, and
// must change as soon as a build changes its files; nothing outside of the
// folder, and nothing hidden in it, may be had.
//
// A folder's path answers with its index.html; there is no listing. Names
// that begin with a dot are not served. Symbolic links are followed as
// [os.Root] does: relative ones that stay inside, to hidden places as well
// (that is how pnpm fills node_modules), but no absolute ones, wherever they
// lead, and none that lead out.
package static

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A folder serves its files. It keeps nothing open between requests: a build
// deletes the folder and creates it anew whenever it likes.
type folder struct {
	dir string
	now func() time.Time
}

// New returns a handler that serves the files under dir, an absolute path,
// which need not exist yet. The handler looks at the method, the conditions
// and ranges in the header, and URL.Path. That may lack a prefix which the
// client sees: redirects are relative, so that they hold all the same. It
// ends a response that it cannot complete by a panic with
// [http.ErrAbortHandler].
func New(dir string) http.Handler {
	return &folder{dir, time.Now}
}

func (f *folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// OPTIONS is among the refused, as with nginx and Caddy: a preflight
	// needs an answer that only an app can give.
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, refusal{http.StatusMethodNotAllowed, "this route serves files, for GET and HEAD only"})
		return
	}
	name, ok := localName(r.URL.Path)
	if !ok {
		refuse(w, missing())
		return
	}
	asFolder := r.URL.Path == "" || strings.HasSuffix(r.URL.Path, "/")
	file, info, err := f.open(name, asFolder)
	switch err := err.(type) {
	case nil:
		defer file.Close()
		f.send(w, r, file, info)
	case needsSlash:
		redirect(w, r.URL)
	case refusal:
		refuse(w, err)
	default:
		refuse(w, refusalOf(err))
	}
}

// redirect sends the client on to the path with a final slash. It names the
// last element only: relative to what the client sees, and, with the dot in
// front, never taken for a scheme or a host.
func redirect(w http.ResponseWriter, u *url.URL) {
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	location := (&url.URL{Path: "./" + last + "/"}).EscapedPath()
	if u.ForceQuery || u.RawQuery != "" {
		location += "?" + u.RawQuery
	}
	h := w.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// refuse answers with one line of text.
func refuse(w http.ResponseWriter, why refusal) {
	line := "devproxy: " + why.line + "\n"
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(line)))
	if why.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(why.status)
	w.Write([]byte(line))
}
