package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/proxying.md names a test for each thing that it promises. A row names
// the folder of the tests that follow.
func TestProxyingNamesTests(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "docs", "proxying.md"))
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile("`(e2e|internal/[a-z0-9]+)`|\\b((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)")
	rows, tests := 0, make(map[string]string) // the source of a folder's tests
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[2]) == "held by" {
			continue
		}
		rows++
		folder, named := "", 0
		for _, m := range word.FindAllStringSubmatch(cells[2], -1) {
			if m[1] != "" {
				folder = m[1]
				continue
			}
			named++
			if _, ok := tests[folder]; !ok {
				tests[folder] = testSource(t, filepath.Join(root, folder))
			}
			if !strings.Contains(tests[folder], "\nfunc "+m[2]+"(") {
				t.Errorf("there is no %s in %q, which holds:%s", m[2], folder, cells[1])
			}
		}
		if named == 0 {
			t.Errorf("no test holds:%s", cells[1])
		}
	}
	if rows < 50 {
		t.Errorf("found %d rows, want all", rows)
	}
}

func testSource(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
