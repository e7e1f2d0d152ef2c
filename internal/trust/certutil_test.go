package trust

import (
	"context"
	"errors"
	"testing"
)

func TestCertutilFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		path string
		r    result
		err  error
		want string
	}{
		{"done", "/usr/bin/certutil", result{}, nil, ""},
		{"absent", "", result{}, nil, "certutil is not installed"},
		{"refused", "/usr/bin/certutil", result{code: 255, errs: "\nno database\nmore\n"}, nil, "certutil: no database"},
		{"not run", "/usr/bin/certutil", result{}, errors.New("in time"), "in time"},
	} {
		c := certutil{path: tt.path, run: func(context.Context, ...string) (result, error) { return tt.r, tt.err }}
		err := c.create(t.Context(), "/dir")
		if got := map[bool]string{true: "", false: "x"}[err == nil]; got == "" && tt.want != "" || err != nil && err.Error() != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
