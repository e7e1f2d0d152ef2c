package clientenv

import (
	"runtime"
	"testing"
)

func TestNoProxy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("one spelling there")
	}
	tests := []struct {
		name         string
		upper, lower string
		hosts        []string
		wantUpper    string
		wantLower    string // "" is wantUpper
	}{
		{"unset", "", "", nil, "localhost,127.0.0.1,::1", ""},
		{"routes", "", "", []string{"shop.localhost", "*.shop.localhost", "shop.localhost"},
			"localhost,127.0.0.1,::1,shop.localhost,.shop.localhost", ""},
		{"both are kept", "corp.example, 10.0.0.0/8", "localhost,corp.example,,x", []string{"a.test"},
			"corp.example,10.0.0.0/8,localhost,x,127.0.0.1,::1,a.test", ""},
		{"everything", " *", "", []string{"a.test"}, " *", "localhost,127.0.0.1,::1,a.test"},
		{"everything in the other", "a", "*", nil, "a,localhost,127.0.0.1,::1", "*"},
		{"twice", "localhost,127.0.0.1,::1,.a.test", "localhost,127.0.0.1,::1,.a.test", []string{"*.a.test"},
			"localhost,127.0.0.1,::1,.a.test", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.wantLower == "" {
				tt.wantLower = tt.wantUpper
			}
			got := environment{}.with(noProxy(environment{"NO_PROXY": tt.upper, "no_proxy": tt.lower}.get, tt.hosts))
			if got["NO_PROXY"] != tt.wantUpper || got["no_proxy"] != tt.wantLower {
				t.Errorf("got  %q %q\nwant %q %q", got["NO_PROXY"], got["no_proxy"], tt.wantUpper, tt.wantLower)
			}
		})
	}
}
