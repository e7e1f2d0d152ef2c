package trust

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	got := parseList("\nCertificate Nickname                                         Trust Attributes\n" +
		"                                                             SSL,S/MIME,JAR/XPI\n\n" +
		"devproxy-0123456789abcdef                                    C,,  \n" +
		"a, b, c                                                      CT,C,C\n" +
		"                                                             u,u,u\n" +
		"Größe 1,,                                                    ,,   \n")
	want := []entry{{"devproxy-0123456789abcdef", "C,,"}, {"a, b, c", "CT,C,C"}, {"Größe 1,,", ",,"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, tc := range []struct {
		flags string
		want  bool
	}{{"C,,", true}, {"CTu,,", true}, {"c,,", false}, {",C,C", false}, {"T,,", false}, {"p,p,p", false}} {
		if got := (entry{flags: tc.flags}).trusted(); got != tc.want {
			t.Errorf("flags %q: got trusted %v, want %v", tc.flags, got, tc.want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("name                 C,,  \n")
	f.Fuzz(func(t *testing.T, out string) {
		for _, e := range parseList(out) {
			if e.nickname == "" || strings.Count(e.flags, ",") != 2 || strings.ContainsAny(e.flags, " \n") {
				t.Errorf("%q: got %q", out, e)
			}
		}
	})
}

func TestFailureCode(t *testing.T) {
	for _, tc := range []struct{ errs, code, text string }{
		{"certutil: function failed: SEC_ERROR_READ_ONLY: security library: read-only database.\n", nssReadOnly, "certutil: function failed"},
		{"Error opening input terminal for read\ncertutil: could not authenticate to token NSS Certificate DB.: SEC_ERROR_BAD_PASSWORD: words\n", nssBadPassword, "certutil: Error opening"},
		{"certutil: Could not find cert: x\n: PR_FILE_NOT_FOUND_ERROR: File not found\n", "PR_FILE_NOT_FOUND_ERROR", "certutil: Could not find"},
		{"", "", "exit status 255"},
	} {
		err := failure(result{code: 255, errs: tc.errs})
		e, ok := errors.AsType[*nssError](err)
		if !ok || e.code != tc.code || !strings.Contains(e.text, tc.text) {
			t.Errorf("%q: got %+v, want code %q, text %q", tc.errs, err, tc.code, tc.text)
		}
	}
}
