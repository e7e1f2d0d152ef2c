//go:build linux

package trust

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"devproxy/internal/atomicfile"
	"devproxy/internal/elevate"
)

// A profileSeed is a Firefox profile made before the first start of Firefox: a
// profiles.ini that lists it as the default, and a compatibility.ini that does
// not say which build used it last. Every build that has no profile of its own
// yet takes such a profile for one of old times and makes it its own, whatever
// its folder and channel; see IsProfileForCurrentInstall in Firefox's
// nsToolkitProfileService.cpp. A Firefox that does not, makes a profile as if
// this one were not there.
type profileSeed struct {
	dir string // the profile's folder, below that of profiles.ini
}

// newProfileSeed plans a profile in the folder where Firefox keeps profiles.
// Its name is like those that Firefox makes, and the same each time. Firefox
// makes them up at random, so that web pages cannot guess the path; they do not
// know the machine id.
func (m *Machine) newProfileSeed(base string) profileSeed {
	id, _ := readFile(filepath.Join(m.cfg.Root, "etc/machine-id"))
	sum := sha256.Sum256(slices.Concat([]byte("devproxy firefox profile\x00"), id, []byte{0}, []byte(base)))
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	salt := sum[:8]
	for i, b := range salt {
		salt[i] = digits[int(b)%len(digits)]
	}
	// Firefox calls a profile that is not bound to one build just "default".
	return profileSeed{filepath.Join(base, string(salt)+".default")}
}

func (s profileSeed) base() string { return filepath.Dir(s.dir) }

func (s profileSeed) list() string { return filepath.Join(s.base(), "profiles.ini") }

// installs is a copy of some of profiles.ini that Firefox keeps.
func (s profileSeed) installs() string { return filepath.Join(s.base(), "installs.ini") }

// mark is a file that every start of Firefox writes anew.
func (s profileSeed) mark() string { return filepath.Join(s.dir, "compatibility.ini") }

func (s profileSeed) listText() []byte {
	return fmt.Appendf(nil, "[Profile0]\nName=default\nIsRelative=1\nPath=%s\nDefault=1\n\n"+
		"[General]\nStartWithLastProfile=1\nVersion=2\n", filepath.Base(s.dir))
}

// markText holds how many folders above the profile were made for it, so that
// they can be taken away with it.
const markText = "# Made by devproxy before the first start of Firefox, which then writes this file anew.\n" +
	"# Folders made: %d\n[Compatibility]\n"

// folders returns the missing folders above the profile, the outermost first.
func (s profileSeed) folders() []string {
	var missing []string
	for dir := s.base(); dir != filepath.Dir(dir) && !present(dir); dir = filepath.Dir(dir) {
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing
}

// plan returns what prepare would make.
func (s profileSeed) plan(store string) []Step {
	var steps []Step
	for _, path := range append(s.folders(), s.dir, s.mark(), s.list()) {
		steps = append(steps, Step{Store: store, Location: s.dir, File: path})
	}
	return steps
}

// possible reports whether the profile would take nothing's place: no profile
// was ever listed, and in its folder is at most what a run that was cut short
// has left.
func (s profileSeed) possible() bool {
	if present(s.list()) || present(s.installs()) {
		return false
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return !present(s.dir)
	}
	if err != nil || len(entries) == 0 {
		return err == nil
	}
	_, ours := s.marked()
	return ours && len(entries) == 1
}

// prepare makes the profile, without a database. It replaces nothing.
func (s profileSeed) prepare() error {
	if err := checkOwner(nearestDir(s.base())); err != nil {
		return err
	}
	if !s.possible() {
		return s.overtaken()
	}
	made := s.folders()
	for _, dir := range append(slices.Clone(made), s.dir) {
		// 0700 as Firefox does.
		if err := os.Mkdir(dir, 0o700); err != nil && !isDir(dir) {
			return err
		}
	}
	if _, ours := s.marked(); !ours {
		if err := atomicfile.Create(s.mark(), fmt.Appendf(nil, markText, len(made)), 0o600); err != nil {
			return err
		}
	}
	return s.publish()
}

// publish lists the profile, which comes last: before, Firefox does not see it.
func (s profileSeed) publish() error {
	err := atomicfile.Create(s.list(), s.listText(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(s.overtaken(), s.withdraw())
	}
	return err
}

func (s profileSeed) overtaken() error {
	return &problem{
		detail: "Firefox is making a profile of its own in " + s.base(),
		fix:    "trust again",
	}
}

// marked reports whether the mark is as prepare wrote it, and how many folders
// it counts.
func (s profileSeed) marked() (folders int, ours bool) {
	data, err := readFile(s.mark())
	if err != nil {
		return 0, false
	}
	if _, err := fmt.Sscanf(string(data), markText, &folders); err != nil {
		return 0, false
	}
	return folders, bytes.Equal(data, fmt.Appendf(nil, markText, folders))
}

// unused reports whether Firefox has not touched the profile since prepare
// made it. What the database holds is not looked at.
func (s profileSeed) unused() bool {
	if _, ours := s.marked(); !ours || present(s.installs()) {
		return false
	}
	if list, err := readFile(s.list()); !errors.Is(err, fs.ErrNotExist) && (err != nil || !bytes.Equal(list, s.listText())) {
		return false
	}
	entries, err := os.ReadDir(s.dir)
	return err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		known := e.Name() == filepath.Base(s.mark()) || slices.Contains(databaseFiles, e.Name())
		return !known || !e.Type().IsRegular()
	})
}

// planRemove returns what remove would do.
func (s profileSeed) planRemove(store string) []Step {
	commands := []elevate.Command{{"rm", "-r", s.dir}}
	if present(s.list()) {
		commands = append(commands, elevate.Command{"rm", s.list()})
	}
	for _, dir := range s.made() {
		commands = append(commands, elevate.Command{"rmdir", dir})
	}
	var steps []Step
	for _, c := range commands {
		steps = append(steps, Step{Store: store, Location: s.dir, Command: c})
	}
	return steps
}

// made returns the folders that prepare made above the profile and that would
// be empty without it, the innermost first.
func (s profileSeed) made() []string {
	var dirs []string
	count, _ := s.marked()
	gone := []string{filepath.Base(s.dir), filepath.Base(s.list())}
	for dir := s.base(); len(dirs) < count && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !slices.Contains(gone, e.Name()) }) {
			break
		}
		dirs = append(dirs, dir)
		gone = []string{filepath.Base(dir)}
	}
	return dirs
}

// remove takes away an unused profile. At every moment what is left of it is
// one that Firefox would still start with, or one that it does not see.
func (s profileSeed) remove() error {
	if !s.unused() {
		return nil
	}
	for _, name := range databaseFiles {
		if err := removeFile(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	if err := removeFile(s.list()); err != nil {
		return err
	}
	return s.withdraw()
}

// withdraw takes away a profile that has no database and is not listed.
func (s profileSeed) withdraw() error {
	made := s.made()
	for _, path := range []string{s.mark(), s.dir} {
		if err := removeFile(path); err != nil {
			return err
		}
	}
	for _, dir := range made {
		if os.Remove(dir) != nil {
			return nil // somebody has put something there
		}
	}
	return nil
}
