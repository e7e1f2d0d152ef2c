package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// helperTime bounds getent, which may be waiting for a name server that does
// not answer. A name of this machine needs none.
const helperTime = 3 * time.Second

// getent's exit statuses (getent(1)).
const (
	wrongOption = 64 // EX_USAGE
	notFound    = 2  // the name leads nowhere
)

// A Resolver asks the system where a name leads, as programs do through
// getaddrinfo. Methods may be called concurrently.
type Resolver struct {
	// Getent is the absolute path of getent. Where it is "", Lookup is asked.
	Getent string

	// Lookup is net.Resolver.LookupNetIP, for systems without getent.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve returns the addresses of host in one family, "ip4" or "ip6"; none
// if the name is not found. It gives up after three seconds.
func (r Resolver) Resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	var found []netip.Addr
	var err error
	if r.Getent != "" {
		found, err = getent(ctx, r.Getent, network, host)
	} else {
		found, err = r.Lookup(ctx, network, host)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, addr := range found {
		addr = addr.WithZone("")
		// For a name with IPv4 only, ahostsv6 prints ::ffff:127.0.0.1, which no
		// client takes for an address of the other family.
		if addr.Is4() == (network == "ip4") && !addr.Is4In6() && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

func getent(ctx context.Context, program, network, host string) ([]netip.Addr, error) {
	database := "ahostsv4"
	if network == "ip6" {
		database = "ahostsv6"
	}
	// Otherwise loopback addresses are left out on a machine that is offline,
	// where clients do find them. Older versions lack the option.
	out, status, err := run(ctx, program, "--no-addrconfig", database, host)
	if status == wrongOption || status == 1 {
		out, status, err = run(ctx, program, database, host)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("getent %s %s: %w", database, host, ctx.Err())
	case status == notFound:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("getent %s %s: %w", database, host, err)
	}
	var addrs []netip.Addr
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if addr, err := netip.ParseAddr(fields[0]); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

// run returns what a helper printed, and its exit status if it has one.
func run(ctx context.Context, argv ...string) (text string, status int, err error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	}
	return out.String(), status, err
}
