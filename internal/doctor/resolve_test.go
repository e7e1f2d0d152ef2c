//go:build unix

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	getent := func(script string) Resolver {
		return Resolver{Getent: write(t, filepath.Join(t.TempDir(), "getent"), []byte("#!/bin/sh\n[ $1 != --no-addrconfig ] || shift\n"+script), 0o755)}
	}
	lookup := func(err error, addrs ...string) Resolver {
		return Resolver{Lookup: func(context.Context, string, string) (list []netip.Addr, _ error) {
			for _, a := range addrs {
				list = append(list, netip.MustParseAddr(a))
			}
			return list, err
		}}
	}
	const both = `case $1 in
ahostsv4) echo "127.0.0.1 STREAM $2"; echo "127.0.0.1 DGRAM"; echo "127.0.0.1 RAW";;
ahostsv6) echo "::1 STREAM $2"; echo "::1 DGRAM";;
esac`
	for _, tt := range []struct {
		name     string
		resolver Resolver
		network  string
		want     string
		fails    bool
	}{
		{"IPv4", getent(both), "ip4", "[127.0.0.1]", false},
		{"IPv6", getent(both), "ip6", "[::1]", false},
		{"mapped", getent(`echo "::ffff:127.0.0.1 STREAM $2"`), "ip6", "[]", false},
		{"zone", getent(`echo "fe80::1%lo STREAM $2"`), "ip6", "[fe80::1]", false},
		{"not found", getent("exit 2"), "ip4", "[]", false},
		{"broken", getent("exit 1"), "ip4", "[]", true},
		{"nonsense", getent("echo what"), "ip4", "[]", false},
		{"the name is one word", getent(`[ "$2" = shop.localhost ] && [ $# = 2 ] && echo 127.0.0.1`), "ip4", "[127.0.0.1]", false},
		{"an old getent", Resolver{Getent: write(t, filepath.Join(t.TempDir(), "getent"), []byte("#!/bin/sh\n[ $# = 2 ] || exit 64\necho 127.0.0.1\n"), 0o755)}, "ip4", "[127.0.0.1]", false},
		{"a new getent", Resolver{Getent: write(t, filepath.Join(t.TempDir(), "getent"), []byte("#!/bin/sh\n[ $1 = --no-addrconfig ] || exit 2\necho 127.0.0.1\n"), 0o755)}, "ip4", "[127.0.0.1]", false},
		{"no such program", Resolver{Getent: "/nowhere/getent"}, "ip4", "[]", true},
		{"without getent", lookup(nil, "127.0.0.1"), "ip4", "[127.0.0.1]", false},
		{"without getent, the other family", lookup(nil, "127.0.0.1"), "ip6", "[]", false},
		{"without getent, not found", lookup(&net.DNSError{IsNotFound: true}), "ip4", "[]", false},
		{"without getent, broken", lookup(errors.New("broken")), "ip4", "[]", true},
	} {
		addrs, err := tt.resolver.Resolve(t.Context(), tt.network, "shop.localhost")
		if got := fmt.Sprint(addrs); got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s: got %s, %v; want %s, failure %v", tt.name, got, err, tt.want, tt.fails)
		}
	}
}

// TestResolveHangs: a getent that waits for a name server ends with the
// caller's patience, whatever it has started.
func TestResolveHangs(t *testing.T) {
	r := Resolver{Getent: write(t, filepath.Join(t.TempDir(), "getent"), []byte("#!/bin/sh\nsleep 60 &\nwait\n"), 0o755)}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := r.Resolve(ctx, "ip4", "shop.localhost"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("waited for %v", took)
	}
}
