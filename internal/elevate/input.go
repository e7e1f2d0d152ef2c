package elevate

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// fed copies a file to where only root reads, compares what it has copied, and
// runs a command with that as its standard input.
const fed = `t=$(mktemp /tmp/devproxy.XXXXXXXXXX) || exit; trap 'rm -f "$t"' EXIT; ` +
	`head -c "$1" "$3" >"$t" || exit; h=$(sha256sum <"$t" 2>/dev/null || shasum -a 256 <"$t"); ` +
	`[ "${h%% *}" = "$2" ] || { echo "$3 does not hold what it held" >&2; exit 1; }; shift 3; "$@" <"$t"`

// stdin is how a command that Fed is given names its input.
const stdin = "/dev/stdin"

// Fed returns a command that runs command with content, which the file src
// holds, as its input, which one of its words names: /dev/stdin. Root believes nothing that it reads in a folder
// of somebody else's: between the making of the command and its end, which may
// be as long as a person needs for a password, the file can be made a link to
// any other. If it holds something else by then, the command is not run.
func Fed(command Command, src string, content []byte) Command {
	sum := sha256.Sum256(content)
	return append(Command{"/bin/sh", "-c", fed, "sh", strconv.Itoa(len(content)), hex.EncodeToString(sum[:]), src}, command...)
}

// plain returns the command that Fed was given, on the file itself; any other
// as it is.
func (c Command) plain() Command {
	const first = 7
	if len(c) <= first || c[2] != fed {
		return c
	}
	src, plain := c[first-1], slices.Clone(c[first:])
	for i, word := range plain {
		if word == stdin {
			plain[i] = src
		}
	}
	return plain
}
