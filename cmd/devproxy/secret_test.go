package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSecretFile(t *testing.T) {
	long := strings.Repeat("x", maxSecret)
	for _, test := range []struct{ name, content, want, problem string }{
		{"a line", "open sesame\n", "open sesame", ""},
		{"no line end", "open sesame", "open sesame", ""},
		{"a line of Windows", "open sesame\r\n", "open sesame", ""},
		{"blanks count", " open sesame \nmore\n", " open sesame ", ""},
		{"the longest", long + "\r\n", long, ""},
		{"too long", long + "y\n", "", "longer than 1024 bytes"},
		{"empty", "", "", "is empty"},
		{"an empty line", "\nopen sesame\n", "", "is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readSecretFile(path)
			if string(got) != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if problem := errText(err); !strings.Contains(problem, test.problem) || (err == nil) != (test.problem == "") {
				t.Errorf("error %q, want %q", problem, test.problem)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
