package e2e

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An unaided client is one as people start it: nothing tells it about our
// root. It fetches what a backend answers with secret.
type unaided struct {
	name     string // as doctor calls it
	finds    bool   // *.localhost without a hosts entry (clients.md §8)
	system   bool   // it reads the system's store
	variable bool   // exec reaches it without --java
	argv     func(t *testing.T, url string) []string
}

var unaidedClients = []unaided{
	{"curl", true, true, true, func(t *testing.T, url string) []string {
		return []string{tool(t, "curl"), "--silent", "--show-error", "--max-time", "20", url}
	}},
	{"wget", false, true, false, func(t *testing.T, url string) []string {
		return []string{tool(t, "wget"), "--quiet", "--tries=1", "--timeout=20", "--output-document=-", url}
	}},
	{"git", true, true, true, func(t *testing.T, url string) []string {
		return []string{tool(t, "git"), "ls-remote", url}
	}},
	{"python", false, true, true, func(t *testing.T, url string) []string {
		return []string{python(t), "-c", `import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())`, url}
	}},
	{"requests", false, true, true, func(t *testing.T, url string) []string {
		return []string{python(t, "requests"), "-c", `import sys, requests
print(requests.get(sys.argv[1], timeout=20).text)`, url}
	}},
	{"node", false, false, true, func(t *testing.T, url string) []string {
		return []string{tool(t, "node"), "-e", `require("https").get(process.argv[1], r => r.pipe(process.stdout))
	.on("error", e => { console.error(e.code); process.exit(1) })`, url}
	}},
	{"java", false, true, false, func(t *testing.T, url string) []string {
		file, err := filepath.Abs("testdata/Fetch.java")
		if err != nil {
			t.Fatal(err)
		}
		return []string{tool(t, "java"), file, url}
	}},
	{"go", false, true, true, func(t *testing.T, url string) []string {
		return []string{goFetch(t), url}
	}},
}

// readsSystem reports whether the client reads the system's store. Debian's own
// Node does, which is made of a library; others, in one piece, do not.
func (c unaided) readsSystem(t *testing.T) bool {
	t.Helper()
	if c.name != "node" {
		return c.system
	}
	f, err := elf.Open(tool(t, "node"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "libnode.so") })
}

// goFetch builds a Go program that fetches a URL as any does.
func goFetch(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(filepath.Dir(os.Getenv(envBinary)), "fetch")
	if fileExists(binary) {
		return binary
	}
	cmd := exec.Command(os.Getenv(envGo), "build", "-o", binary, "./testdata/fetch")
	for _, name := range goSettings {
		cmd.Env = append(cmd.Env, name+"="+os.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "HOME="+t.TempDir(), "PATH="+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// accepts reports whether the client, behind the words of prefix such as
// "devproxy exec --", gets what the backend says.
func (c unaided) accepts(t *testing.T, h *home, prefix []string, url string) (bool, result) {
	t.Helper()
	words := append(prefix, c.argv(t, url)...)
	got := finish(t, h.command(t, words[0], words[1:]...))
	said := strings.Contains(got.stdout, secret) || strings.Contains(got.stdout, "refs/heads/fluffy") || strings.TrimSpace(got.stdout) == "ok"
	return got.code == 0 && said, got
}

// answer is the backend of unaided clients, git among them: the files of a
// repository with one branch, and secret for everything else.
const repository = "0123456789012345678901234567890123456789\trefs/heads/fluffy\n"
