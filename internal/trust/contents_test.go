package trust

import (
	"os"
	"path/filepath"
	"testing"
)

// contents returns what every file below dir holds, also through links.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if isDir(path) {
			all[path] = "folder"
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			all[path] = "unreadable: " + err.Error() // a link to nothing, for one
			return nil
		}
		all[path] = string(data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func checkSame(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	for path, content := range after {
		if old, ok := before[path]; !ok {
			t.Errorf("%s made %s", what, path)
		} else if old != content {
			t.Errorf("%s changed %s", what, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			t.Errorf("%s deleted %s", what, path)
		}
	}
}
