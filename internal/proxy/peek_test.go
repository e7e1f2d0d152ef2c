package proxy

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"devproxy/internal/refusal"
)

// What tells Django's page apart lies behind what one Read of a body returns
// when head and body come together.
func TestRefusalInOneSegment(t *testing.T) {
	raw, err := os.ReadFile("../refusal/testdata/django-4.2.28-debug-host.http")
	if err != nil {
		t.Fatal(err)
	}
	for name, headers := range map[string][]string{"browser": {"Accept", browser}, "other": nil} {
		t.Run(name, func(t *testing.T) {
			f := start(t, Route{Host: "shop.test", Path: "/", Backend: answers(t, string(raw))})
			_, body := get(t, f.client(t, "h2"), f.url("shop.test", "/"), headers...)
			if shown := strings.Contains(body, "Django refuses"); shown != (name == "browser") {
				t.Errorf("the page of devproxy is shown: got %v\n%s", shown, body)
			}
			if got := f.logs.FilterMessage(msgRefused).Len(); got != 1 {
				t.Errorf("got %d lines in the log, want 1", got)
			}
		})
	}
}

func TestPeek(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		pause  time.Duration // between pieces
		pieces []string
		end    error // io.EOF if nil
		known  string
		begin  string // as far as it was looked at
		within time.Duration
	}{
		"one piece":          {0, []string{"refused"}, nil, "", "refused", 0},
		"nothing":            {0, nil, nil, "", "", 0},
		"pieces":             {10 * time.Millisecond, []string{"ref", "us", "ed"}, nil, "", "refused", 30 * time.Millisecond},
		"known before all":   {10 * time.Millisecond, []string{"ref", "us", "ed"}, nil, "refus", "refus", 20 * time.Millisecond},
		"a stream":           {time.Minute, []string{"one", "two", "three"}, nil, "", "one", time.Minute + peekTime},
		"an unending stream": {peekTime * 2 / 5, []string{"1", "2", "3", "4", "5"}, nil, "", "123", peekTime*2/5 + peekTime},
		"breaks off":         {0, []string{"ref"}, broken, "", "ref", 0},
		"more than is read":  {0, []string{strings.Repeat("x", 3*refusal.Peek)}, nil, "", strings.Repeat("x", refusal.Peek), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				go func() {
					for _, text := range test.pieces {
						time.Sleep(test.pause)
						io.WriteString(w, text)
					}
					w.CloseWithError(test.end)
				}()
				began, saw := time.Now(), ""
				body := peek(r, func(begin []byte) bool {
					saw = string(begin)
					return test.known != "" && saw == test.known
				})
				if took := time.Since(began); took != test.within {
					t.Errorf("got after %v, want after %v", took, test.within)
				}
				if saw != test.begin {
					t.Errorf("looked at: got %q, want %q", saw, test.begin)
				}
				got, err := io.ReadAll(body)
				if want := strings.Join(test.pieces, ""); string(got) != want {
					t.Errorf("the whole: got %q, want %q", got, want)
				}
				if !errors.Is(err, test.end) {
					t.Errorf("end: got %v, want %v", err, test.end)
				}
			})
		})
	}
}

// Closing a body that may never go on leaves nothing behind.
func TestPeekIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		go io.WriteString(w, "one")
		body := peek(r, func([]byte) bool { return false })
		body.Close() // or the bubble would not end
		if _, err := io.ReadAll(body); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
		}
	})
}
