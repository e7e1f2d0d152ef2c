package refusal

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// FuzzRecognise holds that a note is one of ours, whatever the backend sends
// and whatever the browser asked: the same as for a recording, but for the
// host name and the origin.
func FuzzRecognise(f *testing.F) {
	ours := make(map[Note]bool)
	for _, s := range samples {
		r := s.response(f)
		note, ok := Recognise(r)
		if !ok {
			f.Fatalf("%s is not recognised", s.file)
		}
		ours[nameless(note, r)] = true
		h := r.Header
		f.Add(r.Status, h.Get("Content-Type"), h.Get("Content-Encoding"), h.Get("Content-Length"), h.Get("Server"), h.Get("X-Powered-By"),
			r.Body, r.Host, r.Origin, r.Method, r.Path, r.HeadBytes)
	}
	f.Fuzz(func(t *testing.T, status int, kind, coding, length, server, powered string, body []byte, host, origin, method, path string, size int) {
		h := http.Header{}
		for name, value := range map[string]string{
			"Content-Type": kind, "Content-Encoding": coding, "Content-Length": length, "Server": server, "X-Powered-By": powered,
		} {
			if value != "" {
				h.Set(name, value)
			}
		}
		r := Response{
			Status: status, Header: h, Body: body,
			Host: host, Origin: origin, Method: method, Path: path, HeadBytes: size,
		}
		note, ok := Recognise(r)
		if !ok {
			if note != (Note{}) {
				t.Errorf("a note without a refusal: %+v", note)
			}
			return
		}
		if !Worth(status, h) {
			t.Error("recognised, but not worth it")
		}
		checkNote(t, note)
		if !ours[nameless(note, r)] {
			t.Errorf("not one of ours: %+v", note)
		}
	})
}

// nameless returns note with placeholders for what it has of r.
func nameless(note Note, r Response) Note {
	replace := func(s string) string {
		if origin := strings.ToLower(r.Origin); strings.HasPrefix(origin, "https://") {
			s = strings.ReplaceAll(s, origin, "{origin}")
		}
		if host := strings.ToLower(r.Host); len(host) > 0 {
			for _, place := range []string{`["%s"`, `"%s"`, "names that it knows, and %s is", "ALLOWED_HOSTS, and %s is", "; is %s in it", "pages on %s,"} {
				s = strings.ReplaceAll(s, fmt.Sprintf(place, host), fmt.Sprintf(place, "{host}"))
			}
		}
		return s
	}
	return Note{App: note.App, Problem: replace(note.Problem), Fix: replace(note.Fix), File: note.File}
}
