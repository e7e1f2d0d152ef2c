package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"devproxy/internal/folderlock"
)

var issued = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// entry returns a valid entry.
func entry(serial string) Entry {
	return Entry{
		Serial:      serial,
		Kind:        Client,
		Names:       []string{"alice@example.com"},
		Fingerprint: strings.Repeat("ab", 32),
		NotBefore:   issued.Add(-24 * time.Hour),
		NotAfter:    issued.AddDate(0, 0, 199),
		Issued:      issued,
		Root:        strings.Repeat("cd", 32),
	}
}

func mustAdd(t *testing.T, dir string, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := Add(t.Context(), dir, e, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRead(t *testing.T, dir string) []Entry {
	t.Helper()
	entries, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestAddAndRead(t *testing.T) {
	dir := t.TempDir()
	if got := mustRead(t, dir); got != nil {
		t.Errorf("without a ledger Read = %v, want none", got)
	}
	server := entry("b2")
	server.Kind, server.Names = Server, []string{"shop.localhost", "*.shop.localhost", "::1"}
	server.NotAfter = server.NotAfter.Add(5 * time.Millisecond).In(time.FixedZone("", 3600))
	mustAdd(t, dir, entry("a1"), server)
	server.NotAfter = issued.AddDate(0, 0, 199)
	if got, want := mustRead(t, dir), []Entry{entry("a1"), server}; !reflect.DeepEqual(got, want) {
		t.Errorf("Read = %+v, want %+v", got, want)
	}
	info, err := os.Stat(Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode = %o, want 600", got)
	}
	if err := Add(t.Context(), dir, entry("a1"), nil); err == nil || !strings.Contains(err.Error(), "is in it already") {
		t.Errorf("Add of a known serial number: %v", err)
	}
	if err := Forget(t.Context(), dir, "a1", nil); err != nil {
		t.Fatal(err)
	}
	if err := Forget(t.Context(), dir, "a1", nil); err != nil {
		t.Errorf("Forget what is not there: %v", err)
	}
	if got := mustRead(t, dir); len(got) != 1 || got[0].Serial != "b2" {
		t.Errorf("after Forget: %v, want b2", got)
	}
	if err := Forget(t.Context(), dir, "b2", nil); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, dir); len(got) != 0 {
		t.Errorf("after Forget: %v, want none", got)
	}
}

func TestAddRefuses(t *testing.T) {
	for what, change := range map[string]func(*Entry){
		"no serial":        func(e *Entry) { e.Serial = "" },
		"upper case":       func(e *Entry) { e.Serial = "A1" },
		"leading zero":     func(e *Entry) { e.Serial = "0a1" },
		"21 octets":        func(e *Entry) { e.Serial = strings.Repeat("a", 41) },
		"kind":             func(e *Entry) { e.Kind = "both" },
		"no names":         func(e *Entry) { e.Names = nil },
		"empty name":       func(e *Entry) { e.Names = []string{""} },
		"long name":        func(e *Entry) { e.Names = []string{strings.Repeat("a", 1025)} },
		"no text":          func(e *Entry) { e.Names = []string{"\xff"} },
		"many names":       func(e *Entry) { e.Names = slices.Repeat([]string{"a"}, 1001) },
		"fingerprint":      func(e *Entry) { e.Fingerprint = e.Fingerprint[2:] },
		"root":             func(e *Entry) { e.Root = strings.ToUpper(e.Root) },
		"no time":          func(e *Entry) { e.Issued = time.Time{} },
		"ends too early":   func(e *Entry) { e.NotAfter = e.NotBefore },
		"ends in eternity": func(e *Entry) { e.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			e := entry("a1")
			change(&e)
			if err := Add(t.Context(), dir, e, nil); err == nil {
				t.Error("Add accepts it")
			}
			if _, err := os.Lstat(Path(dir)); err == nil {
				t.Error("there is a ledger now")
			}
		})
	}
}

func TestEndedAreDropped(t *testing.T) {
	dir := t.TempDir()
	old, lingering := entry("a1"), entry("b2")
	old.NotAfter = issued.AddDate(0, 0, 10)
	lingering.NotAfter = issued.AddDate(0, 0, 11)
	mustAdd(t, dir, old, lingering)
	if _, err := Revoke(t.Context(), dir, "b2", issued, nil); err != nil {
		t.Fatal(err)
	}
	late := entry("c3")
	late.Issued = issued.AddDate(0, 0, 100).Add(time.Second)
	late.NotAfter = late.Issued.AddDate(0, 0, 1)
	mustAdd(t, dir, late)
	var got []string
	for _, e := range mustRead(t, dir) {
		got = append(got, e.Serial)
	}
	if want := []string{"b2", "c3"}; !slices.Equal(got, want) {
		t.Errorf("the ledger has %v, want %v", got, want)
	}
}

func TestRevoke(t *testing.T) {
	const (
		one   = "a1b2c3d4e5f60718293a4b5c6d7e8f90112233"
		two   = "a1b2c3d4e5f60718293a4b5c6d7e8f90112234"
		other = "f0e1d2c3b4a59687f0e1d2c3b4a59687f0e1d2"
		short = "7f"
	)
	for _, tt := range []struct {
		given, want string // want is a serial number, or a part of the error
	}{
		{other, other},
		{"F0E1D2C3B4A59687F0E1D2C3B4A59687F0E1D2", other},
		{"00:F0:E1:D2:C3:B4", other},
		{" 0xf0e1d2c3 ", other},
		{"0Xf0e1d2c3", other},
		{two, two},
		{"07F", short},
		{"serial=F0E1D2C3B4A59687F0E1D2C3B4A59687F0E1D2", other},
		{"0F0E1D2C", other}, // the first eight of an odd number of digits
		{"f0e1d2c", "too short: give at least 8 digits"},
		{"a1b2c3d4", "the beginning of several: " + one + " (alice@example.com); " + two},
		{"12345678", "no certificate with serial number \"12345678\" was issued here"},
		{other + "0", "no certificate with serial number"},
		{"", "is not a hexadecimal number"},
		{"0x", "is not a hexadecimal number"},
		{"serial=", "is not a hexadecimal number"},
		{"00000000", "is not a hexadecimal number"},
		{"alice@example.com", "is not a hexadecimal number"},
	} {
		t.Run(tt.given, func(t *testing.T) {
			dir := t.TempDir()
			mustAdd(t, dir, entry(one), entry(two), entry(other), entry(short))
			now := issued.Add(time.Hour)
			e, err := Revoke(t.Context(), dir, tt.given, now, nil)
			if err != nil {
				if _, ok := errors.AsType[*SerialError](err); !ok || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want %q", err, tt.want)
				}
			} else if e.Serial != tt.want || !e.Revoked.Equal(now) {
				t.Fatalf("Revoke = %s at %v, want %s at %v", e.Serial, e.Revoked, tt.want, now)
			}
			for _, o := range mustRead(t, dir) {
				if revoked := !o.Revoked.IsZero(); revoked != (err == nil && o.Serial == tt.want) {
					t.Errorf("%s revoked: %v", o.Serial, revoked)
				}
			}
			// A second time changes nothing.
			again, err2 := Revoke(t.Context(), dir, tt.given, now.Add(time.Hour), nil)
			if (err2 == nil) != (err == nil) || !reflect.DeepEqual(again, e) {
				t.Errorf("the second time: %+v, %v; want %+v, %v", again, err2, e, err)
			}
		})
	}
	if _, err := Revoke(t.Context(), t.TempDir(), other, issued, nil); err == nil {
		t.Error("Revoke without a ledger succeeded")
	}
}

func TestShort(t *testing.T) {
	of := func(serials ...string) (entries []Entry) {
		for _, s := range serials {
			entries = append(entries, entry(s))
		}
		return entries
	}
	for _, tt := range []struct{ all, want []string }{
		{nil, []string{}},
		{[]string{"aaaaaaaaaaaa"}, []string{"aaaaaaaa"}},
		{[]string{"bbbbbbbbbbbb", "aaaaaaaaaaaa", "7f"}, []string{"bbbbbbbb", "aaaaaaaa", "7f"}},
		{[]string{"aaaaaaaaab00", "bbbbbbbbbbbb", "aaaaaaaaac00"}, []string{"aaaaaaaaab", "bbbbbbbbbb", "aaaaaaaaac"}},
	} {
		if got := Short(of(tt.all...)); !slices.Equal(got, tt.want) {
			t.Errorf("Short(%q) = %q, want %q", tt.all, got, tt.want)
		}
	}
}

// TestDamaged has ledgers that nobody may take for empty, or write over.
func TestDamaged(t *testing.T) {
	good, err := encode([]Entry{entry("a1"), entry("b2")})
	if err != nil {
		t.Fatal(err)
	}
	swap := func(from, to string) string {
		if !strings.Contains(string(good), from) {
			t.Fatalf("no %s in %s", from, good)
		}
		return strings.Replace(string(good), from, to, 1)
	}
	for what, tt := range map[string]struct{ content, want, hint string }{
		"empty":         {"", "is damaged", "restore it from a backup"},
		"cut off":       {string(good[:len(good)/2]), "is damaged", "restore it"},
		"not JSON":      {"hello", "is damaged", "restore it"},
		"two":           {string(good) + string(good), "is damaged", "restore it"},
		"no schema":     {`{"certificates":[]}`, "schema 0", "restore it"},
		"newer":         {`{"schema":2,"certificates":{"by":"serial"}}`, "written by a newer devproxy (schema 2)", "use that one"},
		"nothing in it": {`{"schema":1}`, "the certificates are missing", "restore it"},
		"unknown field": {swap(`"kind"`, `"sort"`), `unknown field "sort"`, "restore it"},
		"wrong type":    {swap(`"a1"`, `1`), "is damaged", "restore it"},
		"same serials":  {swap(`"a1"`, `"b2"`), "certificates 1 and 2 have one serial number", "restore it"},
		"bad serial":    {swap(`"a1"`, `"A1"`), `certificate 1: serial number "A1"`, "restore it"},
		"bad time":      {swap(`"2026-03-01T12:00:00Z"`, `"yesterday"`), "is damaged", "restore it"},
		"too large":     {strings.Repeat(" ", maxFile) + string(good), "larger than", "restore it"},
		"too many":      {`{"schema":1,"certificates":[` + strings.Repeat(`{},`, maxEntries) + `{}]}`, "more than", "restore it"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(Path(dir), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, readErr := Read(dir)
			addErr := Add(t.Context(), dir, entry("c3"), nil)
			_, revokeErr := Revoke(t.Context(), dir, "a1", issued, nil)
			for doing, err := range map[string]error{"Read": readErr, "Add": addErr, "Revoke": revokeErr} {
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Path != Path(dir) || !strings.Contains(e.Error(), tt.want) || !strings.Contains(e.Hint, tt.hint) {
					t.Errorf("%s: %v (hint of %+v), want %q and the hint %q", doing, err, e, tt.want, tt.hint)
				}
			}
			if got, err := os.ReadFile(Path(dir)); err != nil || string(got) != tt.content {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(Path(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Add(t.Context(), dir, entry("a1"), nil); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("Add with a folder in its place: %v", err)
	}
	other := t.TempDir()
	target := filepath.Join(other, "target")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, Path(other)); err != nil {
		t.Skip(err)
	}
	if _, err := Read(other); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("Read of a link: %v", err)
	}
}

func TestFull(t *testing.T) {
	dir := t.TempDir()
	var entries []Entry
	for i := range maxEntries {
		entries = append(entries, entry(fmt.Sprintf("%x", i+1)))
	}
	data, err := encode(entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Path(dir), data, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRead(t, dir)
	err = Add(t.Context(), dir, entry("ffffffff"), nil)
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Problem, "is full") || e.Hint == "" {
		t.Errorf("Add: %v, want that it is full, and a hint", err)
	}
}

func TestConcurrentAdds(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := Add(t.Context(), dir, entry(fmt.Sprintf("%x", i+1)), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(mustRead(t, dir)); got != 20 && runtime.GOOS != "windows" {
		t.Errorf("%d entries, want 20", got)
	}
}

func TestWaiting(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("folders cannot be locked")
	}
	dir := t.TempDir()
	unlock, err := folderlock.Lock(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	if err := Add(ctx, dir, entry("a1"), cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("Add in a locked folder: %v, want context.Canceled", err)
	}
	if got := mustRead(t, dir); got != nil {
		t.Errorf("it was added all the same: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	revoked := entry("b2")
	revoked.Revoked = issued.Add(time.Hour)
	for _, entries := range [][]Entry{nil, {entry("a1")}, {entry("a1"), revoked}} {
		data, err := encode(entries)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"schema":2}`))
	f.Add([]byte(`{"schema":1,"certificates":[{"not_after":"9999-12-31T23:59:59-01:00"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parse(data)
		if err != nil {
			return
		}
		again, err := encode(entries)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := parse(again)
		if err != nil || !reflect.DeepEqual(back, entries) {
			t.Fatalf("read %+v, written and read again %+v, %v", entries, back, err)
		}
		for i, short := range Short(entries) {
			if at, err := find(entries, short); err != nil || at != i {
				t.Fatalf("%q of %q leads to %d, %v; want %d", short, entries[i].Serial, at, err, i)
			}
		}
	})
}
