//go:build linux

package trust

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// profileShelf is a fake store that makes the files of a database, and holds
// fingerprints.
type profileShelf struct {
	*shelf
	others bool // it holds what is not ours
	fail   error
}

func (s *profileShelf) kind() string { return kindNSS }

func (s *profileShelf) install(ctx context.Context, a anchor) error {
	if s.fail != nil {
		return s.fail
	}
	for _, name := range databaseFiles {
		if err := os.WriteFile(filepath.Join(s.place, name), nil, 0o600); err != nil {
			return err
		}
	}
	return s.shelf.install(ctx, a)
}

func (s *profileShelf) empty(_ context.Context, but []anchor) (bool, error) {
	for sum := range s.held {
		if !slices.ContainsFunc(but, func(a anchor) bool { return a.sum == sum }) {
			return false, nil
		}
	}
	return !s.others, nil
}

// newSeeded returns a Machine whose only store is the profile of a Firefox that
// was never started.
func newSeeded(t testing.TB) (*Machine, *profileShelf, *seededStore) {
	t.Helper()
	m := newMachine(t)
	seed := m.newProfileSeed(filepath.Join(m.cfg.ConfigHome, "mozilla/firefox"))
	in := &profileShelf{shelf: newShelf(seed.dir)}
	s := &seededStore{store: in, seed: seed, empty: in.empty}
	finds(m, s)
	m.kinds = slices.DeleteFunc(m.kinds, func(k kind) bool { return k.name == kindNSS })
	reopens(m, s)
	return m, in, s
}

func TestSeedLifeCycle(t *testing.T) {
	for _, tc := range []struct {
		name string
		home []string
	}{
		{name: "empty home"},
		{name: "empty folder of the configuration", home: []string{".config/"}},
		{name: "empty folder of profiles", home: []string{".config/mozilla/firefox/"}},
		{name: "things beside", home: []string{".config/mozilla/firefox/Crash Reports/x=y", ".config/mozilla/z"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, in, s := newSeeded(t)
			for _, what := range tc.home {
				build(t, m.cfg.Home, what)
			}
			before := tree(t, m.cfg.Home)
			root, file := newRoot(t)
			planned := planned(s.seed.plan("Firefox"))
			if st := only(t, mustInstall(t, m, root, file)); st.State != Trusted || !st.Changed {
				t.Fatalf("got %+v, want trusted", st)
			}
			for _, path := range planned {
				if !exists(path) {
					t.Errorf("%s was planned and not made", path)
				}
			}
			made := slices.DeleteFunc(tree(t, m.cfg.Home), func(line string) bool { return slices.Contains(before, line) })
			for _, line := range made {
				path := strings.SplitN(strings.SplitN(line, " ", 2)[1], "=", 2)[0]
				if !slices.Contains(planned, path) && !slices.Contains(databaseFiles, filepath.Base(path)) {
					t.Errorf("%s was made and not planned", path)
				}
				if strings.Contains(line[:10], "rwx") != strings.HasPrefix(line, "d") || line[4:10] != "------" {
					t.Errorf("got %s, want mode 0700 for folders and 0600 for files", line)
				}
			}
			after := tree(t, m.cfg.Home)
			if st := only(t, mustInstall(t, m, root, file)); st.State != Trusted || st.Changed {
				t.Errorf("second time: got %+v, want no change", st)
			}
			if got := tree(t, m.cfg.Home); !slices.Equal(got, after) {
				t.Errorf("second time: got %q, want %q", got, after)
			}
			steps, err := m.PlanRemove(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if st := only(t, mustRemove(t, m)); st.State != NotTrusted || !st.Changed {
				t.Errorf("got %+v, want not trusted", st)
			}
			if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
				t.Errorf("after removal: got %q, want %q", got, before)
			}
			for _, step := range steps {
				if len(step.Command) > 0 && exists(step.Command[len(step.Command)-1]) {
					t.Errorf("still there after %s", step.Command)
				}
			}
			if !slices.ContainsFunc(steps, func(s Step) bool { return len(s.Command) > 0 }) {
				t.Error("nothing planned for removal")
			}
			if got := len(mustLoad(t, m)); got != 0 || len(in.held) != 0 {
				t.Errorf("%d receipts and %d roots are left", got, len(in.held))
			}
		})
	}
}

// planned returns the files of steps.
func planned(steps []Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.File)
	}
	return all
}

// A profile that is in use only loses the root.
func TestUsedProfileStays(t *testing.T) {
	write := func(path func(profileSeed) string, text string) func(*testing.T, *profileShelf, profileSeed) {
		return func(t *testing.T, _ *profileShelf, s profileSeed) { writeFile(t, path(s), []byte(text)) }
	}
	for _, tc := range []struct {
		name string
		use  func(*testing.T, *profileShelf, profileSeed)
	}{
		{"started", write(profileSeed.mark, "[Compatibility]\nLastVersion=153\n")},
		{"listed anew", write(profileSeed.list, "[Profile0]\nName=default\n")},
		{"a build in the list's copy", write(profileSeed.installs, "[AA]\n")},
		{"another file", write(func(s profileSeed) string { return filepath.Join(s.dir, "prefs.js") }, "")},
		{"locked", func(t *testing.T, _ *profileShelf, s profileSeed) { build(t, s.dir, "lock->127.0.1.1:+99") }},
		{"a link for a database file", func(t *testing.T, _ *profileShelf, s profileSeed) {
			if err := os.Remove(filepath.Join(s.dir, "key4.db")); err != nil {
				t.Fatal(err)
			}
			build(t, s.dir, "key4.db->elsewhere")
		}},
		{"other certificates", func(_ *testing.T, in *profileShelf, _ profileSeed) { in.others = true }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, in, s := newSeeded(t)
			root, file := newRoot(t)
			mustInstall(t, m, root, file)
			tc.use(t, in, s.seed)
			before := tree(t, m.cfg.Home)
			if st := only(t, mustRemove(t, m)); st.State != NotTrusted || !st.Changed {
				t.Errorf("got %+v, want the root removed", st)
			}
			if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
				t.Errorf("got %q, want %q", got, before)
			}
		})
	}
}

// What others removed by hand, or a removal that was cut short, is completed.
func TestSeedRemovalCompletes(t *testing.T) {
	for _, lost := range [][]string{nil, {"cert9.db"}, databaseFiles, append([]string{"../profiles.ini"}, databaseFiles...)} {
		m, in, s := newSeeded(t)
		before := tree(t, m.cfg.Home)
		root, file := newRoot(t)
		mustInstall(t, m, root, file)
		clear(in.held)
		for _, name := range lost {
			if err := os.Remove(filepath.Join(s.seed.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if st := only(t, mustRemove(t, m)); st.State != NotTrusted {
			t.Errorf("without %q: got %+v", lost, st)
		}
		if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
			t.Errorf("without %q: got %q, want %q", lost, got, before)
		}
	}
}

func TestPrepareCompletes(t *testing.T) {
	m, _, s := newSeeded(t)
	before := tree(t, m.cfg.Home)
	for range 2 {
		if err := s.seed.prepare(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(s.seed.list()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.seed.prepare(); err != nil || !s.seed.unused() {
		t.Fatalf("got %v, unused %t", err, s.seed.unused())
	}
	if err := s.seed.remove(); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
}

// Nothing that is there is replaced, and what could not be used goes again.
func TestPrepareRefuses(t *testing.T) {
	for _, what := range []string{
		"../profiles.ini=theirs", "../profiles.ini->nowhere", "../installs.ini=theirs",
		"prefs.js=theirs", "compatibility.ini=theirs", "compatibility.ini->nowhere",
	} {
		m, _, s := newSeeded(t)
		mkdir(t, s.seed.dir)
		build(t, s.seed.dir, what)
		before := tree(t, m.cfg.Home)
		root, file := newRoot(t)
		st := only(t, mustInstall(t, m, root, file))
		if st.State != NotTrusted || st.Detail == "" || st.Fix == "" {
			t.Errorf("%s: got %+v, want a refusal with its way out", what, st)
		}
		if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
			t.Errorf("%s: got %q, want %q", what, got, before)
		}
	}
}

// A Firefox that is started while its profile is being made wins.
func TestSeedOvertaken(t *testing.T) {
	m, _, s := newSeeded(t)
	if err := s.seed.prepare(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.seed.list(), []byte("theirs"))
	err := s.seed.publish()
	if _, ok := errors.AsType[*problem](err); !ok {
		t.Errorf("got %v, want a problem with its way out", err)
	}
	if data, err := os.ReadFile(s.seed.list()); err != nil || string(data) != "theirs" {
		t.Errorf("got %q, %v, want the other list", data, err)
	}
	if got := tree(t, m.cfg.Home); len(got) != 5 || exists(s.seed.dir) {
		t.Errorf("got %q, want their list only", got)
	}
}

func TestSeedNotOurHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	m, _, s := newSeeded(t)
	if err := os.Chown(m.cfg.Home, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	before := tree(t, m.cfg.Home)
	if err := s.seed.prepare(); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("got %v, want the owner named", err)
	}
	if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
}

func TestFailedInstallLeavesNoProfile(t *testing.T) {
	m, in, _ := newSeeded(t)
	in.fail = errors.New("no")
	before := tree(t, m.cfg.Home)
	root, file := newRoot(t)
	if st := only(t, mustInstall(t, m, root, file)); st.State != NotTrusted || st.Detail != "no" {
		t.Errorf("got %+v, want the failure", st)
	}
	if got := tree(t, m.cfg.Home); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
}

func TestSeededPlan(t *testing.T) {
	m, in, s := newSeeded(t)
	got := planned(s.plan(t.Context(), anchor{}))
	base := filepath.Join(m.cfg.ConfigHome, "mozilla/firefox")
	want := []string{
		m.cfg.ConfigHome, filepath.Dir(base), base, in.place,
		filepath.Join(in.place, "compatibility.ini"), filepath.Join(base, "profiles.ini"),
	}
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("got %q, want first %q", got, want)
	}
	if len(tree(t, m.cfg.Home)) != 1 {
		t.Error("planning changed the home")
	}
}

// A profile's name must not be known to whoever knows the user's name.
func TestSeedName(t *testing.T) {
	names := make(map[string]bool)
	for _, id := range []string{"aa\n", "bb\n"} {
		m := newMachine(t)
		writeFile(t, filepath.Join(m.cfg.Root, "etc/machine-id"), []byte(id))
		name := filepath.Base(m.newProfileSeed("/home/u/.mozilla/firefox").dir)
		salt, ok := strings.CutSuffix(name, ".default")
		if !ok || len(salt) != 8 || strings.Trim(salt, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("got %q, want eight letters or digits before .default", name)
		}
		names[name] = true
	}
	if len(names) != 2 {
		t.Errorf("got %v, want a name for each machine", names)
	}
}

func TestReopenBrowser(t *testing.T) {
	m, _, s := newSeeded(t)
	r := receipt{Kind: kindNSS, Store: "Firefox", Location: s.seed.dir}
	if _, ok := reopenBrowser(m, r).(*seededStore); ok {
		t.Error("got a prepared profile where there is none")
	}
	if err := s.seed.prepare(); err != nil {
		t.Fatal(err)
	}
	got := reopenBrowser(m, r)
	if _, ok := got.(*seededStore); !ok {
		t.Errorf("got %T, want a prepared profile", got)
	}
	if name, place := got.label(); name != r.Store || place != r.Location || got.kind() != r.Kind {
		t.Errorf("got %s, %s at %s, want what the receipt says", got.kind(), name, place)
	}
}
