package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the results of this run to the .want files")

// golden compares got with a .want file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant (%s):\n%s", got, path, want)
	}
}

// samples runs test for every file of a folder.
func samples(t *testing.T, dir string, test func(t *testing.T, path string)) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.toml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples in %s: %v", dir, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".toml"), func(t *testing.T) { test(t, path) })
	}
}

func wantFile(path string) string { return strings.TrimSuffix(path, ".toml") + ".want" }

// messages prints mistakes or warnings as devproxy does.
func messages(errs []*Error) string {
	var b strings.Builder
	for _, e := range errs {
		fmt.Fprintln(&b, e)
		if e.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", e.Hint)
		}
	}
	return b.String()
}

func TestBadSamples(t *testing.T) {
	samples(t, "bad", func(t *testing.T, path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse("/srv/shop/devproxy.toml", "devproxy.toml", text)
		if err == nil {
			t.Fatalf("no mistake found; got %+v", c)
		}
		for _, e := range Errors(err) {
			if strings.HasSuffix(e.Message, ".") || strings.HasSuffix(e.Hint, ".") {
				t.Errorf("ends like a sentence: %q, hint %q", e, e.Hint)
			}
			if text := e.Error() + e.Hint; strings.Contains(text, "s3cret") || strings.Contains(text, "31337") {
				t.Errorf("shows a secret: %q, hint %q", e, e.Hint)
			}
		}
		golden(t, wantFile(path), messages(Errors(err)))
		checkErrors(t, err)
	})
}

func TestGoodSamples(t *testing.T) {
	samples(t, "good", func(t *testing.T, path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse("/srv/shop/devproxy.toml", "devproxy.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, wantFile(path), describe(c)+messages(c.Warnings))
		checkConfig(t, c)
	})
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	t.Run("file is absolute", func(t *testing.T) {
		path := write("devproxy.toml", "[routes]\n\"a.localhost\" = 1\n")
		t.Chdir(dir)
		c, err := ReadFile("devproxy.toml")
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(c.File) || filepath.Base(c.File) != filepath.Base(path) {
			t.Errorf("File = %q, want the absolute path of %q", c.File, path)
		}
	})
	t.Run("paths begin in the folder of the file", func(t *testing.T) {
		write("sub/devproxy.toml", "[routes]\n\"a.localhost\" = \"dir:../www\"\n")
		t.Chdir(dir)
		c, err := ReadFileAs("sub/devproxy.toml", "shown.toml")
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(filepath.Dir(filepath.Dir(c.File)), "www"); c.Routes[0].Target.Path != want {
			t.Errorf("path %q, want %q", c.Routes[0].Target.Path, want)
		}
	})
	t.Run("paths without a file begin in the working directory", func(t *testing.T) {
		t.Chdir(dir)
		c, err := Parse("", []byte("[routes]\n\"a.localhost\" = \"dir:www\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		wd, err := os.Getwd()
		if want := filepath.Join(wd, "www"); err != nil || c.Routes[0].Target.Path != want || c.File != "" {
			t.Errorf("path %q of file %q, want %q", c.Routes[0].Target.Path, c.File, want)
		}
	})
	t.Run("file in errors is as given", func(t *testing.T) {
		write("bad.toml", "x = 1\n")
		t.Chdir(dir)
		_, err := ReadFile("bad.toml")
		if want := "bad.toml:1: x: unknown key"; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %q", err, want)
		}
	})
	t.Run("file in errors is as told", func(t *testing.T) {
		_, err := ReadFileAs(write("bad.toml", "x = 1\n"), "shown.toml")
		if want := "shown.toml:1: x: unknown key"; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %q", err, want)
		}
	})
	t.Run("file is the one opened", func(t *testing.T) {
		path := write("good.toml", "[routes]\n\"a.dev\" = 1\n")
		c, err := ReadFileAs(path, "shown.toml")
		if err != nil {
			t.Fatal(err)
		}
		if c.File != path || len(c.Warnings) != 1 || c.Warnings[0].File != "shown.toml" {
			t.Errorf("File = %q, want %q; warnings %v, want one for shown.toml", c.File, path, c.Warnings)
		}
	})
	unreadable := func(t *testing.T, path string, match error) {
		t.Helper()
		_, cause := os.Stat(path)
		_, err := ReadFileAs(path, "a \"b\"")
		if want := fmt.Sprintf(`read "a \"b\"": %v`, pathError(cause)); !errors.Is(err, match) || err.Error() != want {
			t.Errorf("error = %v, want %q that matches %v", err, want, match)
		}
	}
	t.Run("absent", func(t *testing.T) {
		unreadable(t, filepath.Join(dir, "none.toml"), fs.ErrNotExist)
	})
	t.Run("not permitted", func(t *testing.T) {
		path := write("closed/devproxy.toml", "")
		if err := os.Chmod(filepath.Dir(path), 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Dir(path), 0o700)
		if _, err := os.Stat(path); err == nil {
			t.Skip("this user may read everything")
		}
		unreadable(t, path, fs.ErrPermission)
	})
	t.Run("folder", func(t *testing.T) {
		if _, err := ReadFile(dir); err == nil {
			t.Error("no error")
		}
	})
	for _, text := range []string{"", " \r\n\t\n", "\ufeff"} {
		t.Run(fmt.Sprintf("empty %q", text), func(t *testing.T) {
			_, err := ReadFileAs(write("empty.toml", text), "devproxy.toml")
			if !errors.Is(err, ErrEmpty) {
				t.Errorf("error = %v, want ErrEmpty", err)
			}
			const want = "devproxy.toml: the file is empty\n" +
				"  hint: write [routes] and, below it, a route such as \"shop.localhost\" = 5000\n"
			if got := messages(Errors(err)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	t.Run("large", func(t *testing.T) {
		_, err := ReadFile(write("large.toml", strings.Repeat("# much text\n", 10<<20/12)))
		if errs := Errors(err); len(errs) != 1 || errs[0].Message != "the file is larger than 1 MiB" {
			t.Errorf("error = %v, want one about the size", err)
		}
	})
}

// Mistakes come in the order of the file.
func TestMistakesSorted(t *testing.T) {
	var b strings.Builder
	b.WriteString("[routes]\n")
	for i := range 50 {
		fmt.Fprintf(&b, "\"h%d.localhost\" = \"ftp://x\"\n", i)
	}
	_, err := Parse("f", []byte(b.String()))
	errs := Errors(err)
	if len(errs) != 50 {
		t.Fatalf("%d mistakes, want 50", len(errs))
	}
	for i, e := range errs {
		if want := fmt.Sprintf("route %q", fmt.Sprintf("h%d.localhost", i)); e.Line != i+2 || e.Key != want {
			t.Errorf("mistake %d is %s on line %d, want %s on line %d", i, e.Key, e.Line, want, i+2)
		}
	}
}

func TestMistakesArePrintable(t *testing.T) {
	const clear = "\u009b2J" // a terminal may take this for "clear the screen"
	for _, text := range []string{
		"[log]\nlevel = \"" + clear + "\"\n",
		"[tls]\nkeylog = \"\\" + clear + "\"\n",
		"[routes]\n\"" + clear + "\" = 1\n",
		"[routes]\na = " + clear + "\n",
		"a = \"\\\n",
	} {
		_, err := Parse("f", []byte(text))
		for _, e := range Errors(err) {
			if s := e.Error() + e.Hint; strings.ContainsFunc(s, unprintable) {
				t.Errorf("not printable: %q", s)
			}
		}
		if err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestLongTextsAreClipped(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	for _, text := range []string{
		"[routes]\n\"" + long + "\" = 1\n",
		"[routes]\n\"a.localhost\" = \"ftp://" + long + "\"\n",
		"[routes]\na = " + long + "\n",
		"[log]\nlevel = \"" + long + "\"\n",
	} {
		_, err := Parse("f", []byte(text))
		for _, e := range Errors(err) {
			if len(e.Error()) > 1100 || len(e.Hint) > 510 {
				t.Errorf("an error of %d bytes with a hint of %d", len(e.Error()), len(e.Hint))
			}
		}
		if err == nil {
			t.Errorf("no error for %.40q", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		files, _ := filepath.Glob(filepath.Join("testdata", dir, "*.toml"))
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("/devproxy.toml", text)
		if err != nil {
			checkErrors(t, err)
			return
		}
		checkConfig(t, c)
	})
}
