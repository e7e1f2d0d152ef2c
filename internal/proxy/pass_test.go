package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
)

// A scripted body brings its pieces one by one. It tells how much is at hand.
type scripted struct {
	pieces []string // "" is a wait
	err    error    // comes with the last of them
}

func (s *scripted) Buffered() int {
	if len(s.pieces) == 0 {
		return 0
	}
	return len(s.pieces[0])
}

func (s *scripted) Read(b []byte) (int, error) {
	for len(s.pieces) > 0 && s.pieces[0] == "" {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, s.err
	}
	n := copy(b, s.pieces[0])
	if s.pieces = s.pieces[1:]; len(s.pieces) == 0 {
		return n, s.err
	}
	return n, nil
}

// mute is a body that does not tell how much is at hand.
type mute struct{ io.Reader }

// A tape notes what is done to a ResponseWriter.
type tape struct {
	header http.Header
	done   []string
}

func (p *tape) Header() http.Header { return p.header }
func (p *tape) WriteHeader(int)     { p.done = append(p.done, "head") }
func (p *tape) Flush()              { p.done = append(p.done, "flush") }
func (p *tape) Write(b []byte) (int, error) {
	p.done = append(p.done, string(b))
	return len(b), nil
}

// What has arrived goes out at once, and what is complete goes out in one go, by
// the end of the request.
func TestPass(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		body io.Reader
		err  error
		want []string
	}{
		"all at hand":    {&scripted{pieces: []string{"all"}, err: io.EOF}, nil, []string{"head", "all"}},
		"head alone":     {&scripted{pieces: []string{"", "all"}, err: io.EOF}, nil, []string{"head", "flush", "all"}},
		"two at hand":    {&scripted{pieces: []string{"a", "b"}, err: io.EOF}, nil, []string{"head", "a", "b"}},
		"a wait between": {&scripted{pieces: []string{"a", "", "b"}, err: io.EOF}, nil, []string{"head", "a", "flush", "b"}},
		"end by itself":  {&scripted{pieces: []string{"a", ""}, err: io.EOF}, nil, []string{"head", "a", "flush"}},
		"broken off":     {&scripted{pieces: []string{"a"}, err: broken}, broken, []string{"head", "a"}},
		"does not tell":  {mute{&scripted{pieces: []string{"a", "b"}, err: io.EOF}}, nil, []string{"head", "flush", "a", "flush", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &tape{header: make(http.Header)}
			x := &exchange{ResponseWriter: w, proxy: new(Proxy), forwarded: true}
			x.WriteHeader(http.StatusOK)
			if err := x.pass(test.body); err != test.err {
				t.Errorf("got error %v, want %v", err, test.err)
			}
			if !slices.Equal(w.done, test.want) {
				t.Errorf("got %q, want %q", w.done, test.want)
			}
		})
	}
}
