package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// leaves are the packages that every other may import; they import none of
// devproxy's. All other internal packages meet in cmd/devproxy only.
var leaves = []string{
	"devproxy/internal/atomicfile", // everyone who keeps state needs whole files
	"devproxy/internal/elevate",    // trust and hosts hand the same kind of list to the same runner
	"devproxy/internal/folderlock", // what changes files in the state folder takes turns
	"devproxy/internal/socket",     // proxy and backend each have an end of a request's way
	"devproxy/internal/hostname",   // config, issuer and proxy must agree on what one name is
}

// parts are packages that one other may import beside the leaves: a part of it
// that is large enough to stand alone.
var parts = map[string]string{
	"devproxy/internal/backend": "devproxy/internal/proxy", // connections to backends, and what may be tried again
	"devproxy/internal/refusal": "devproxy/internal/proxy", // what dev servers answer that dislike a proxy
	"devproxy/internal/nssdb":   "devproxy/internal/trust", // a file format, and when its owner believes it
}

// owners are the only packages that may import a library, by its path or a
// path it begins with, and why.
var owners = []struct{ library, owner, why string }{
	{"github.com/BurntSushi/toml", "devproxy/internal/config", "the file's syntax ends at config"},
	{"github.com/fsnotify/fsnotify", "devproxy/internal/watch", "how changes are seen ends at watch"},
	{"github.com/spf13/cobra", "devproxy/cmd/devproxy", "only the command reads flags"},
	{"modernc.org/sqlite", "devproxy/internal/nssdb", "the databases of browsers end at nssdb"},
	{"github.com/youmark/pkcs8", "devproxy/internal/issuer", "how the CA's key is encrypted ends at issuer"},
	{"golang.org/x/term", "devproxy/cmd/devproxy", "only the command talks to a terminal"},
	{"flag", "devproxy/cmd/devproxy", "only the command reads flags"},
}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "devproxy/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 10 {
		t.Fatalf("go list named %d packages, want all:\n%s", len(lines), out)
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		pkg, imports := fields[0], fields[1:]
		for _, imported := range imports {
			switch {
			case !strings.HasPrefix(imported, "devproxy/") || pkg == "devproxy/cmd/devproxy":
			case parts[imported] == pkg:
			case !slices.Contains(leaves, imported):
				t.Errorf("%s imports %s: internal packages meet in cmd/devproxy only", pkg, imported)
			case slices.Contains(leaves, pkg):
				t.Errorf("%s imports %s: the packages that everyone may import stand alone", pkg, imported)
			}
			for _, o := range owners {
				if (imported == o.library || strings.HasPrefix(imported, o.library+"/")) && pkg != o.owner {
					t.Errorf("%s imports %s, which is %s's: %s", pkg, imported, o.owner, o.why)
				}
			}
		}
	}
}
