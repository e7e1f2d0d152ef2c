package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"devproxy/internal/trust"
)

func testApp(args ...string) *app {
	none := func(string) string { return "" }
	return newApp(append([]string{"devproxy"}, args...), none, strings.NewReader(""), &strings.Builder{}, &strings.Builder{})
}

func TestDueHint(t *testing.T) {
	green := trust.Status{Store: "System", State: trust.Trusted}
	plain := trust.Status{Store: "Chromium", State: trust.NotTrusted}
	stuck := trust.Status{Store: "Firefox", State: trust.NotTrusted, Fix: "start Firefox once"}
	locked := trust.Status{Store: "Chromium", State: trust.Unknown}
	up := inspected{key: "a.localhost"}
	down := inspected{key: "b.localhost", target: "http://127.0.0.1:5000", backendErr: errors.New("refused")}
	nowhere := inspected{key: "c.test/x", host: "c.test", lookupErr: errors.New("no such host")}

	for _, tt := range []struct {
		name   string
		stores []trust.Status
		routes []inspected
		extra  []string
		want   string
	}{
		{"all well", []trust.Status{green}, []inspected{up}, nil, ""},
		{"no store", nil, []inspected{up}, nil, ""},
		{"trust first", []trust.Status{green, plain}, []inspected{nowhere, down}, nil, "make browsers and tools accept these URLs: devproxy trust"},
		{"cannot tell", []trust.Status{locked}, []inspected{up}, nil, "make browsers and tools accept these URLs: devproxy trust"},
		{"then names", []trust.Status{green}, []inspected{down, nowhere}, nil, "make c.test lead to this machine: devproxy hosts sync"},
		{"names of arguments", []trust.Status{green}, []inspected{nowhere}, []string{"c.test/x=5000"}, "make c.test lead to this machine: devproxy hosts sync c.test/x=5000"},
		{"then backends", []trust.Status{green, stuck}, []inspected{up, down}, nil, "start the app behind b.localhost: nothing listens at http://127.0.0.1:5000"},
		{"what trust cannot mend", []trust.Status{green, stuck}, []inspected{up}, nil, "Firefox: start Firefox once"},
	} {
		if got := testApp().dueHint(tt.stores, tt.routes, tt.extra); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTrustSummary(t *testing.T) {
	of := func(store string, state trust.State) trust.Status { return trust.Status{Store: store, State: state} }
	for _, tt := range []struct {
		stores []trust.Status
		want   string
	}{
		{nil, "no trust store found on this machine"},
		{[]trust.Status{of("System", trust.Trusted), of("Firefox", trust.Trusted), of("Firefox", trust.Trusted)}, "trusted by System, Firefox"},
		{[]trust.Status{of("System", trust.NotTrusted)}, "not trusted yet by System"},
		{[]trust.Status{of("Chromium", trust.Unknown), of("System", trust.Trusted), of("Firefox", trust.NotTrusted)}, "trusted by System; not trusted yet by Firefox; cannot tell for Chromium"},
	} {
		if got := trustSummary(tt.stores); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestRouteRow(t *testing.T) {
	r := inspected{url: "https://a.test", target: "http://127.0.0.1:5000"}
	failed := errors.New("refused")
	for _, tt := range []struct {
		served, lookup, backend error
		want                    string
	}{
		{nil, nil, nil, "up"},
		{nil, nil, failed, "down"},
		{nil, failed, nil, "up"}, // browsers may know more than the system; the hint says it
		{nil, fmt.Errorf("%w: 203.0.113.9", errElsewhere), nil, "leads to another machine: 203.0.113.9"},
		{failed, nil, nil, "not answering: refused"},
	} {
		r.servedErr, r.lookupErr, r.backendErr = tt.served, tt.lookup, tt.backend
		row := testApp().routeRow(r)
		if got := row[len(row)-1].text; got != tt.want || row[0].text != r.url {
			t.Errorf("row %v, want it to end in %q", row, tt.want)
		}
	}
}

func TestSelfName(t *testing.T) {
	for arg0, want := range map[string]string{
		"devproxy":         "devproxy",
		"./bin/devproxy":   "./bin/devproxy",
		"/opt/my devproxy": "'/opt/my devproxy'",
		"/tmp/go-build3756790849/b001/exe/devproxy":                                                              "go run ./cmd/devproxy",
		"/home/u/.cache/go-build/b6/b66309ae3c9c0a1f2d5e4b7a8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f70819-d/devproxy": "go run ./cmd/devproxy",
		"/home/u/exe/devproxy": "/home/u/exe/devproxy",
	} {
		if got := selfName(arg0); got != want {
			t.Errorf("selfName(%q) = %q, want %q", arg0, got, want)
		}
	}
}

// TestTable checks what a person reads without a terminal: aligned columns,
// no colour.
func TestTable(t *testing.T) {
	a := testApp()
	a.ui.table([][]cell{
		{{"https://bücher.localhost", bold}, a.ui.mark(true, "up")},
		{{"short", bold}, a.ui.mark(false, "down")},
	})
	want := "  https://bücher.localhost  up\n  short                     down\n"
	if got := a.stdout.(*strings.Builder).String(); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// TestServed: the hosts file must not lead clients to a family that nobody
// listens on.
func TestServed(t *testing.T) {
	for _, tt := range []struct{ listen, want string }{
		{"", "[]"}, // unset: both
		{"127.0.0.1:443 [::1]:443", "[127.0.0.1 ::1]"},
		{"127.0.0.1:443", "[127.0.0.1]"},
		{"[::1]:443", "[::1]"},
		{"0.0.0.0:443", "[127.0.0.1]"},
		{"[::]:443", "[::1]"},
		{"192.0.2.1:443", "[]"},
	} {
		var listen []netip.AddrPort
		for _, addr := range strings.Fields(tt.listen) {
			listen = append(listen, netip.MustParseAddrPort(addr))
		}
		if got := fmt.Sprint(served(listen)); got != tt.want {
			t.Errorf("served(%s) = %s, want %s", tt.listen, got, tt.want)
		}
	}
}
