package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestBigCookies are cookies beyond the 4 KiB that uWSGI allows a request's
// head. With a larger buffer they pass; without, uWSGI closes the connection.
func TestBigCookies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
	}{
		{"buffer-size=32768", []string{"--buffer-size", "32768"}, 200},
		{"as it comes", nil, 502},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			python(t, "flask")
			args := append([]string{tool(t, "uwsgi"), "--http-socket", "127.0.0.1:" + port, "--plugin", "python3", "--module", "flask_app:app"}, tt.args...)
			startApp(t, "127.0.0.1:"+port, nil, args...)
			s := start(t, newHome(t), head+fmt.Sprintf("routes.\"flask.localhost\" = \"http://127.0.0.1:%s\"", port))
			for _, p := range curlProtocols {
				t.Run(p.name, func(t *testing.T) {
					c := curler{s: s, host: "flask.localhost", proto: p.flag}
					// What devproxy adds has to fit beside cookies that nearly fill the buffer.
					if got := c.do(t, "/me", "--header", "Cookie: "+cookiesOf(3200)).must(t, 200); got.body != "nobody" {
						t.Errorf("small cookies: %s", got)
					}
					c.do(t, "/me", "--header", "Cookie: "+cookiesOf(8000)).must(t, tt.status)
				})
			}
		})
	}
}

// cookiesOf returns a Cookie header's value of about n bytes.
func cookiesOf(n int) string {
	var all strings.Builder
	for i := 0; all.Len() < n; i++ {
		fmt.Fprintf(&all, "app%d=%s; ", i, strings.Repeat("x", 180))
	}
	return strings.TrimSuffix(all.String(), "; ")
}
