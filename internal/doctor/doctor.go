// Package doctor holds what devproxy's diagnosis knows of clients: how the
// system finds a name for them, where each of them looks for root
// certificates, and what an app behind a proxy does wrong. It turns
// observations into verdicts.
//
// It reads, asks helper programs that change nothing, and sends at most one
// request to a backend. Routes, trust stores and the running server are
// looked at by the caller, which hands in plain values.
package doctor

// A State is a verdict, as reports carry it.
type State string

const (
	OK      State = "ok"
	Unknown State = "unknown" // cannot tell; the detail says why
	Warn    State = "warn"    // a step that devproxy documents is not done, or something will surprise
	Fail    State = "fail"    // what should work does not
)

func (s State) rank() int {
	switch s {
	case OK:
		return 0
	case Unknown:
		return 1
	case Warn:
		return 2
	}
	return 3
}

// Worse reports whether s is worse news than other: fail, warn, unknown, ok.
func (s State) Worse(other State) bool { return s.rank() > other.rank() }

// A Verdict is a state with its reason and the way out.
type Verdict struct {
	State  State  `json:"state"`
	Detail string `json:"detail"` // one line; may be empty where State is ok
	Fix    string `json:"fix"`    // one command that works as typed, or what to do; "" where nothing is to be done
}

// worst returns the verdict with the worst news, the first of equals.
func worst(first Verdict, more ...Verdict) Verdict {
	for _, v := range more {
		if v.State.Worse(first.State) {
			first = v
		}
	}
	return first
}

// A Check is one thing that was looked at.
type Check struct {
	Check   string `json:"check"`   // which check: stable, lower case
	Subject string `json:"subject"` // what it was about, for people
	Verdict
	Commands []string `json:"commands"` // for an administrator to run; may be empty

	// Names is what OpenSSL, Python, Chromium and Firefox call what is wrong
	// with a certificate, by these names; a client that accepts it is left out.
	Names map[string]string `json:"names,omitempty"`
}

// A Client is a program on this machine and whether it gets to our URLs.
type Client struct {
	Client string `json:"client"` // "curl", "python", …: stable
	Verdict
}
