package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/proxying.md names a test for each thing that it promises.
func TestProxyingNamesTests(t *testing.T) {
	rows := heldRows(t, "proxying.md", "behaviour")
	if len(rows) < 50 {
		t.Errorf("found %d rows, want all", len(rows))
	}
}

// docs/tutorial.md names the command and the test for each step of the
// tutorials on TLS that people come from.
func TestTutorialNamesTests(t *testing.T) {
	var steps []string
	for _, row := range heldRows(t, "tutorial.md", "step of a tutorial") {
		steps = append(steps, row[0])
		if command := row[1]; !strings.Contains(command, "`") {
			t.Errorf("no command for the step %q: %s", row[0], command)
		}
	}
	for _, step := range []string{
		"key", "CSR", "self-signed", "CA-signed", "SAN", "wildcard", "chain check", "passphrase",
		"socket server", "uWSGI https", "requests verify", "client certificate", "revocation", "capture",
		"error explanation",
	} {
		if !slices.Contains(steps, step) {
			t.Errorf("there is no row for the step %q", step)
		}
	}
}

// heldRows returns the cells of the rows of a document's tables of which the
// last column, "held by", names the tests that hold the row. It fails the test
// for a row without one, and for a test that does not exist. firstColumn heads
// at least one of these tables.
//
// In a row the folder of the tests that follow comes first.
func heldRows(t *testing.T, document, firstColumn string) [][]string {
	t.Helper()
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "docs", document))
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile("`(e2e|cmd/devproxy|internal/[a-z0-9]+)`|\\b((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)")
	var rows [][]string
	tests := make(map[string]string) // the source of a folder's tests
	held, headed := false, false     // the table that we are in
	for line := range strings.Lines(string(text)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !ok {
			held = false
			continue
		}
		cells := strings.Split(strings.TrimSuffix(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		last := cells[len(cells)-1]
		switch {
		case last == "held by":
			held = true
			headed = headed || cells[0] == firstColumn
			continue
		case !held || strings.HasPrefix(last, "---"):
			continue
		}
		rows = append(rows, cells)
		folder, named := "", 0
		for _, m := range word.FindAllStringSubmatch(last, -1) {
			if m[1] != "" {
				folder = m[1]
				continue
			}
			named++
			if _, ok := tests[folder]; !ok {
				tests[folder] = testSource(t, filepath.Join(root, folder))
			}
			if !strings.Contains(tests[folder], "\nfunc "+m[2]+"(") {
				t.Errorf("there is no %s in %q, which holds: %s", m[2], folder, cells[0])
			}
		}
		if named == 0 {
			t.Errorf("no test holds: %s", cells[0])
		}
	}
	if !headed {
		t.Errorf("there is no table with the column %q", firstColumn)
	}
	return rows
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
