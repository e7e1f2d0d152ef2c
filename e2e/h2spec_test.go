package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// A specCase is one case of h2spec under the name it prints, "http2/5.1.1/2".
type specCase struct {
	name string
	*spec.TestCase
}

// specCases lists all cases, the strict ones too.
func specCases() []specCase {
	var list []specCase
	var add func(*spec.TestGroup)
	add = func(group *spec.TestGroup) {
		for i, c := range slices.Concat(group.Tests, group.StrictTests) {
			list = append(list, specCase{fmt.Sprintf("%s/%d", group.ID(), i+1), c})
		}
		for _, sub := range group.Groups {
			add(sub)
		}
	}
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		add(group)
	}
	return list
}

// run tries a case on a connection of its own.
func (c specCase) run(cfg *config.Config) error {
	conn, err := spec.Dial(cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	return c.Run(cfg, conn)
}

// specExceptions are the cases that devproxy fails as net/http's server does:
// what it does instead, in h2spec's words, and why that is as good.
var specExceptions = map[string]struct{ instead, why string }{
	"http2/6.5.3/1": {"Connection closed",
		"No client sends a setting twice in a frame, and a frame of thousands would keep the server busy. " +
			"RFC 9113, section 10.5, lets it end a connection for suspicious use of SETTINGS."},
	"http2/8.1.2.2/1": {"DATA Frame (", malformedIsAnswered},
	"http2/8.1.2.2/2": {"DATA Frame (", malformedIsAnswered},
}

// TestCorpusH2 of internal/proxy shows that such requests end there.
const malformedIsAnswered = "RFC 9113, section 8.1.1: to a malformed request a server may send a response before it closes the stream. " +
	"It is a 400, no backend sees the request, and the stream is closed on both sides by then."

// TestH2Spec has h2spec try the TLS listener, in front of a backend and of a
// handler of devproxy's own.
func TestH2Spec(t *testing.T) {
	const host = "spec.localhost"
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("x", 1000))
	}))
	t.Cleanup(backend.Close)
	addHosts(t, "127.0.0.1", host)
	for _, target := range []string{backend.URL, "builtin:hello"} {
		kind, _, _ := strings.Cut(target, ":")
		t.Run(kind, func(t *testing.T) {
			s := start(t, newHome(t), head+fmt.Sprintf("routes.%q = %q", host, target))
			cfg := config.Config{
				Host: host, Port: s.port, Path: "/", TLS: true,
				Insecure:     true, // it cannot be given a root
				Strict:       true,
				Timeout:      2 * time.Second,
				MaxHeaderLen: 4000,
			}
			checkSpec(t, cfg, specCases())
		})
	}
}

func checkSpec(t *testing.T, cfg config.Config, cases []specCase) {
	const atOnce = 8 // most cases wait for something not to happen
	errs := make([]error, len(cases))
	slots := make(chan bool, atOnce)
	var running sync.WaitGroup
	for i, c := range cases {
		slots <- true
		running.Go(func() {
			defer func() { <-slots }()
			own := cfg
			if c.name == "http2/4.2/3" {
				// A frame of what would be too much by default, which has to
				// be more than the server announces.
				own.MaxHeaderLen = 1 << 18
			}
			// An answer may come before the end of a request that turns out to
			// be malformed then: which is first is chance.
			const tries = 3
			for range tries {
				if errs[i] = c.run(&own); errs[i] == nil || specExceptions[c.name].why != "" {
					break
				}
			}
		})
	}
	running.Wait()

	passed, failed, excepted := 0, 0, 0
	for i, c := range cases {
		err := errs[i]
		exception, expected := specExceptions[c.name]
		switch {
		case err == nil && expected:
			t.Errorf("%s passes now, and is not an exception any more: %s", c.name, exception.why)
		case errors.Is(err, spec.ErrSkipped):
			t.Errorf("%s was skipped: %s", c.name, c.Desc)
		case err == nil:
			passed++
		case expected && strings.Contains(err.Error(), "\n"+exception.instead):
			excepted++
		default:
			failed++
			t.Errorf("%s: %s: %s\n%v", c.name, c.Desc, c.Requirement, err)
		}
	}
	for name := range specExceptions {
		if !slices.ContainsFunc(cases, func(c specCase) bool { return c.name == name }) {
			t.Errorf("there is no case %s to be an exception", name)
		}
	}
	t.Logf("%d cases passed, %d failed, %d are exceptions", passed, failed, excepted)
}
